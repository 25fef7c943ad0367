# SPDX-License-Identifier: Apache-2.0
# A QEMU VM's link is its port's, and the port's is that of the VM's driver.
. "$top/tests/local/vm.sh"
begin_with_setter a
ctl attach v
port_link_is() { [ "$(vsctl get interface v link_state)" = "$1" ]; }

setter_start setter "v=$VHOST/v.sock,mode=client"
qemu_start v client
wait_until 10 port_link_is down
qemu_wait v
wait_until 5 port_link_is up
check_ping a v

# The port goes down and up, by OpenFlow and by being removed.
for i in 1 2 3; do
    ofctl mod-port br0 v down
    wait_until_not 10 has_carrier v
    ofctl mod-port br0 v up
    wait_until 10 has_carrier v
    check_ping a v
done
ctl detach v
wait_until_not 10 has_carrier v
check_no_ping a v
ctl attach v
wait_until 10 has_carrier v
check_ping v a

# The VM's driver goes and returns.
device=$(in_guest v readlink -f /sys/class/net/v/device)
device=${device##*/}
for i in 1 2 3; do
    in_guest v sh -c "echo $device >/sys/bus/virtio/drivers/virtio_net/unbind"
    wait_until 5 port_link_is down
    check_no_ping a v
    in_guest v sh -c "echo $device >/sys/bus/virtio/drivers/virtio_net/bind"
    wait_until 10 port_link_is up
    qemu_addresses v
    wait_until 10 has_carrier v
    check_ping a v
done

# The VM goes.
qemu_stop v
wait_until 5 port_link_is down
check_setter_content
