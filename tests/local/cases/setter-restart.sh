# SPDX-License-Identifier: Apache-2.0
# The setter, the switch and the VM each die and come back; traffic goes on.
. "$top/tests/local/setter.sh"
begin_with_setter a
ctl attach v
setter_start setter "v=$VHOST/v.sock,mode=client"
wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
vm_start v client packed_vq=0,mrg_rxbuf=1
wait_until 10 vm_has_driver v
check_ping a v

# The setter dies, and another one finds the VM where it was.
for signal in KILL TERM; do
    drivers=$(vm_drivers v)
    setter_stop -$signal
    setter_start setter "v=$VHOST/v.sock,mode=client"
    wait_until 10 vm_has_driver v $((drivers + 1))
    check_ping a v
done

# The switch dies; the VM's link outlives that.
drivers=$(vm_drivers v)
pid=$(switch_pid)
kill -KILL "$pid"
wait_until 20 switch_answers "$pid"
guests_wait a
wait_until 10 state_is v up
check_ping a v
check "the VM's driver has not noticed" [ "$(vm_drivers v)" = "$drivers" ]

# The port is set down, which the VM's link follows, and up.
ofctl mod-port br0 v down
wait_until 5 grep -q "v: the port's link is down" "$RUN/setter.log"
ofctl mod-port br0 v up
wait_until 10 vm_has_driver v $((drivers + 1))
check_ping a v

# The VM dies and comes back.
drivers=$(vm_drivers v)
vm_stop -KILL
wait_until 5 grep -q "v: the VM's connection is closed" "$RUN/setter.log"
vm_start v client packed_vq=1,mrg_rxbuf=0
address=${ADDR[v]}
wait_until 10 vm_has_driver v $((drivers + 1))
check_ping a "$address"
