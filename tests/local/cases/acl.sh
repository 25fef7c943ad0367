# SPDX-License-Identifier: Apache-2.0
# An OpenFlow rule that drops bites, lets all else pass, and can be removed.
begin_with a b

matched() {
    ofctl dump-flows br0 "$1" | sed -n 's/.*n_packets=\([0-9]*\).*/\1/p'
}

check_ping a b
iperf a b -n 1M
# What went before is counted now, and not for the new rules.
flows_settle

rule=icmp,in_port=a,nw_dst=${ADDR[b]}
ofctl add-flow br0 "priority=100,$rule,actions=drop"
# The flows that the datapath has follow within half a second.
wait_until_not 2 reaches a "${ADDR[b]}" -W 0.2
flows_settle
before=$(matched "$rule")
check_no_ping a b
iperf a b -n 1M
flows_settle
dropped=$(($(matched "$rule") - before))
measure "icmp_dropped=$dropped"
check "the rule has dropped the four pings" [ "$dropped" = 4 ]
ofctl del-flows br0 "$rule"
check_ping a b

iperf a b -n 1M
flows_settle
port=$((5200 + n_ports + 1))
ofctl add-flow br0 "priority=100,tcp,tp_dst=$port,actions=drop"
iperf_serve b
check_not "TCP passes the rule" in_guest a timeout 1 iperf3 -c "${ADDR[b]}" \
    -p $port -n 1M --connect-timeout 500 >/dev/null 2>&1
check_ping a b
flows_settle
dropped=$(matched tcp,tp_dst=$port)
measure "syn_dropped=$dropped"
check_between 'SYNs dropped' 1 "$dropped" 5
ofctl del-flows br0 "tcp,tp_dst=$port"
check "TCP passes again" in_guest a iperf3 -c "${ADDR[b]}" -p $port -n 1M
