# SPDX-License-Identifier: Apache-2.0
# Without doorbells, by the port's option or the guest's, all is polled.
instance_begin
switch_start
guest_start a
guest_start b --no-doorbell
guest_start c
ctl attach a
vsctl set interface a options:doorbell=false
ctl attach b
ctl attach c
guests_wait a b c

has_bell() { guest_status "$1" '.features | join(" ")' | grep -q doorbell; }
wait_until_not 5 has_bell a
check_not "b has a doorbell" has_bell b
check "c has a doorbell" has_bell c
# Let them sleep in between.
check_ping a b -i 0.2
measure "rtt_ms=$rtt"
iperf a b -t 1
measure "mbps=$(iperf_mbps)"
check_ping c a -i 0.2
check "no bell is rung for a" [ "$(counter a tx_bells)" = 0 ]
check "no bell is rung for b" [ "$(counter b tx_bells)" = 0 ]
check_between "bells rung for c" 1 "$(counter c tx_bells)" 10000
check_crossed a b
