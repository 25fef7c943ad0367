# SPDX-License-Identifier: Apache-2.0
# QoS of type egress-policer limits what a guest is sent, and is counted.
begin_with a b
check_ping a b

# 20 Mbit/s.
vsctl -- set port b qos=@q -- --id=@q create qos type=egress-policer \
    other_config:cir=2500000 other_config:cbs=250000
shown=$(appctl qos/show b)
check_match "qos/show" "$shown" 'egress-policer'
iperf a b -u -b 80M -l 1400 -t 2
limited=$(iperf_mbps)
policed=$(counter b tx_policed)
measure "limited_mbps=$limited" "policed=$policed"
check_between 'Mbit/s, limited to 20' 10 "$limited" 40
check_between 'policed packets' 1000 "$policed" 1000000
vsctl clear port b qos
iperf a b -u -b 80M -l 1400 -t 1
free=$(iperf_mbps)
measure "unlimited_mbps=$free"
check_between 'Mbit/s without the limit' 50 "$free" 100
