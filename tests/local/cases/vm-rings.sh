# SPDX-License-Identifier: Apache-2.0
# A QEMU VM's driver with every kind of ring and buffer, with and without TSO.
. "$top/tests/local/vm.sh"
switch_options=(--set userspace-tso-enable=true)
begin_with_setter a
ctl attach v
setter_start setter "v=$VHOST/v.sock"

old=mrg_rxbuf=off,event_idx=off,indirect_desc=off
none=csum=off,guest_csum=off,gso=off
n=0
for device in packed=on packed=on,indirect_desc=off,mrg_rxbuf=off \
        packed=on,$none "$old" "$old,$none" \
        disable-modern=on,disable-legacy=off; do
    n=$((n + 1))
    qemu_start v server device="$device"
    qemu_wait v
    wait_until 10 state_is v up
    note "$device: $(grep 'driver is ready' "$RUN/setter.log" | tail -n 1)"
    check_ping a v
    check_ping v "${ADDR6[a]}"
    for size in 1472 4000 20000; do
        check_ping a v -s $size
    done
    iperf a v -t 1
    to=$(iperf_mbps)
    iperf v a -t 1
    measure "ring${n}_mbps=$to+$(iperf_mbps)"
    check_checksums a
    check_checksums v
    check_setter_content
    qemu_stop v
done
