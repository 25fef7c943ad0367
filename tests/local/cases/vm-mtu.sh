# SPDX-License-Identifier: Apache-2.0
# A QEMU VM with an MTU of 9000 bytes, by host_mtu and by its own choice.
. "$top/tests/local/vm.sh"
begin_with_setter a
vsctl set interface a mtu_request=9000
wait_until 5 link_is a mtu 9000
ctl attach v mtu=9000

# Long frames, each in several buffers of the VM's ('merged') or in one.
check_long() {
    local what=$1

    wait_until 10 link_is v mtu 9000
    check_ping a v -M do -s 8972
    check_ping v a -M do -s 8972
    check_not "the VM sends more than its MTU" in_guest v ping -c 1 -W 1 \
        -M do -s 8973 "${ADDR[a]}"
    mean_frame v tx iperf a v -t 1
    measure "${what}_to_mbps=$(iperf_mbps)" "${what}_to_mean=$mean"
    check_between "mean frame to the VM" 3000 "$mean" 9014
    mean_frame v rx iperf v a -t 1
    measure "${what}_from_mbps=$(iperf_mbps)" "${what}_from_mean=$mean"
    check_between "mean frame from the VM" 3000 "$mean" 9014
}

setter_start setter "v=$VHOST/v.sock"
qemu_start v server device=host_mtu=9000
qemu_wait v
check_long merged
check_setter_content
qemu_stop v

# It takes the first MTU that it is told, which is not too much.
qemu_start v server device=mrg_rxbuf=off
qemu_wait v
check "the VM's MTU" link_is v mtu 1500
in_guest v ip link set v mtu 9000
check_long single
check_setter_content
qemu_stop v

# host_mtu above the port's: the setter says so, and the switch counts.
vsctl set interface v mtu_request=2000
wait_until 5 grep -q 'v: changed: .*MTU 2000' "$RUN/setter.log"
qemu_start v server device=host_mtu=9000
qemu_wait v
check "the setter tells of the MTU" \
    grep -q "v: the VM's MTU is 9000, more than the port's 2000" \
    "$RUN/setter.log"
check_ping v a -s 1972
check_no_ping v a -M do -s 4000
