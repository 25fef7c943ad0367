# SPDX-License-Identifier: Apache-2.0
# Jumbo frames, and an MTU that changes while the guests are attached.
instance_begin
switch_start
guest_start a
guest_start b
ctl attach a mtu=9000
ctl attach b mtu=9000
guests_wait a b
wait_until 5 link_is a mtu 9000
wait_until 5 link_is b mtu 9000
# Room for enough of such frames.
check_match "a's arena" "$(vsctl get interface a status:arena)" 1048576

check_ping a b -M do -s 8972
check_not "a sends more than its MTU" in_guest a ping -c 1 -W 1 -M do -s 8973 \
    "${ADDR[b]}"
packets=$(counter a rx_packets)
bytes=$(counter a rx_bytes)
iperf a b -t 1
mean=$((($(counter a rx_bytes) - bytes) / ($(counter a rx_packets) - packets)))
measure "mbps=$(iperf_mbps)" "mean_frame=$mean"
check_between 'mean frame' 3000 $mean 9014

vsctl set interface a mtu_request=2000
wait_until 5 link_is a mtu 2000
check_ping a b -M do -s 1972
# b still sends up to 9000 bytes; the switch drops what a does not take.
check_no_ping b a -M do -s 4000
check_between 'tx_too_long of a' 4 "$(counter a tx_too_long)" 100
vsctl set interface a mtu_request=9000
wait_until 5 link_is a mtu 9000
check_ping b a -M do -s 8972
check_crossed a b
