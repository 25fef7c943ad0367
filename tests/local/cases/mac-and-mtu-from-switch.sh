# SPDX-License-Identifier: Apache-2.0
# MAC and MTU that the switch is configured with reach the guest's interface.
instance_begin
switch_start
guest_start a --mac 02:00:00:00:0a:ff
guest_start b --mac 02:00:00:00:0b:0b
ctl attach a mac=02:00:00:00:0a:0a mtu=1400
vsctl add-port br0 b -- set interface b type=doms
guests_wait a b

wait_until 5 link_is a address 02:00:00:00:0a:0a
wait_until 5 link_is a mtu 1400
# The switch does not care: b has what it asked for.
wait_until 5 link_is b address 02:00:00:00:0b:0b
wait_until 5 link_is b mtu 1500
check "the switch knows b's MAC" \
    [ "$(guest_status b .mac)" = 02:00:00:00:0b:0b ]
check_ping a b
check_crossed a b

# While attached.
vsctl set interface b options:mac=02:00:00:00:0b:01 mtu_request=1300
wait_until 5 link_is b address 02:00:00:00:0b:01
wait_until 5 link_is b mtu 1300
in_guest a ip neighbour flush dev a
check_ping a b -M do -s 1272
check_crossed b a

# The link follows the port's administrative state.
ofctl mod-port br0 b down
wait_until_not 5 has_carrier b
check "the port is down" state_is b down
ofctl mod-port br0 b up
guests_wait b
check_ping a b
