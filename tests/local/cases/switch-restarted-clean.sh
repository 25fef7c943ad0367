# SPDX-License-Identifier: Apache-2.0
# The switch is stopped and started: the guests wait, and TCP goes on.
begin_with a b
belongings() {
    for name in a b; do
        ip -n "$ID-$name" -o address show dev $name
        ip -n "$ID-$name" route show
        guest_pid $name
    done
}
belonged=$(belongings)

iperf_start a b -t 5
wait_until 5 counter_exceeds a rx_packets 2000
pid=$(switch_pid)
switch_stop
wait_until_not 5 has_carrier a
wait_until_not 5 has_carrier b
check "the switch is down" not switch_answers
in_switch doms-local start --rundir "$OVS_RUNDIR"
check "another domsd" [ "$(switch_pid)" != "$pid" ]
guests_wait a b
iperf_finish
outage=$(iperf_outage_ms)
measure "mbps=$(iperf_mbps)" "outage_ms=$outage"
check_between 'outage in ms' 50 "$outage" $((4000 * SLOW))
check "what the guests have is as it was" [ "$belonged" = "$(belongings)" ]
check_ping a b
check_crossed a b
