# SPDX-License-Identifier: Apache-2.0
# rate= limits what a guest sends, not what it receives, and is counted.
instance_begin
switch_start
guest_start a
guest_start b
ctl attach a rate=20M
ctl attach b
guests_wait a b
check_ping a b

iperf a b -u -b 80M -l 1400 -t 2
limited=$(iperf_mbps)
policed=$(counter a rx_policed)
measure "limited_mbps=$limited" "policed=$policed"
check_between 'Mbit/s, limited to 20' 10 "$limited" 40
check_between 'policed packets' 1000 "$policed" 1000000
iperf a b -u -b 80M -l 1400 -t 1 -R
back=$(iperf_mbps)
vsctl set interface a ingress_policing_rate=0
iperf a b -u -b 80M -l 1400 -t 1
free=$(iperf_mbps)
measure "back_mbps=$back" "unlimited_mbps=$free"
check_between 'Mbit/s to the limited guest' 50 "$back" 100
check_between 'Mbit/s without the limit' 50 "$free" 100
