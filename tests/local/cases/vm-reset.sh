# SPDX-License-Identifier: Apache-2.0
# A QEMU VM is rebooted, and its driver is taken away, in the middle of traffic.
. "$top/tests/local/vm.sh"
begin_with_setter a
ctl attach v queues=2
setter_start setter "v=$VHOST/v.sock,queues=2"
qemu_start v server queues=2 cpus=2
qemu_wait v

# Frames to the VM, whatever becomes of it, and from it while it can.
flood() {
    ip -n "$ID-a" neighbor replace "${ADDR[v]}" lladdr "${MAC[v]}" dev a
    in_guest a ping -q -n -f -s 1000 "${ADDR[v]}" >/dev/null &
    flood_pid=$!
    disown
    qemu_send v "flood$1" ping -q -n -f -s 1000 "${ADDR[a]}"
    wait_until 5 counter_grows v rx_packets 200
    wait_until 5 counter_grows v tx_packets 200
}
flood_end() {
    kill "$flood_pid"
    wait_until_not 5 kill -0 "$flood_pid"
}
# Does the counter $2 of guest $1 grow by more than $3 within a moment?
counter_grows() {
    wait_for 1 counter_exceeds "$1" "$2" $(($(counter "$1" "$2") + $3))
}

# In good order, and as by the machine's button.  (Linux' driver does not end its
# sending, if it does any, when the device is shut down under it.)
for how in 'ip link set v down; reboot -f' 'echo b >/proc/sysrq-trigger'; do
    drivers=$(vm_drivers v)
    boots=$(qemu_boots v)
    flood "$boots"
    qemu_send v reset sh -c "$how"
    qemu_wait v $((boots + 1))
    flood_end
    wait_until 5 vm_has_driver v $((drivers + 1))
    check_ping a v
done

driver=/sys/bus/virtio/drivers/virtio_net
device=$(in_guest v readlink -f /sys/class/net/v/device)
device=${device##*/}
for i in 1 2 3; do
    flood "unbind$i"
    in_guest v ip link set v down
    in_guest v sh -c "echo $device >$driver/unbind"
    in_guest v sh -c "echo $device >$driver/bind"
    qemu_addresses v
    wait_until 5 counter_grows v tx_packets 200
    in_guest v killall ping
    flood_end
    check_ping v a
done
check "QEMU has stayed" kill -0 "${qemu_pid[v]}"
check_setter_content
iperf a v -t 1
measure "mbps=$(iperf_mbps)" "drivers=$(vm_drivers v)"
