# SPDX-License-Identifier: Apache-2.0
# kill -9 of a guest mid-burst: others go on, its port waits, it returns.
begin_with a b c

iperf_start a b -t 4
transfer=$iperf_pid
transfer_json=$iperf_json
transfer_server_json=$iperf_server_json
for round in 1 2 3; do
    # As fast as c can, to b, which is busy anyway.
    iperf_serve b
    in_guest c iperf3 -c "${ADDR[b]}" -p "$iperf_port" -u -b 0 -t 20 \
        >/dev/null 2>&1 &
    disown
    before=$(counter c rx_packets)
    wait_until 5 counter_exceeds c rx_packets $((before + 1000))
    guest_signal KILL c
    wait_until 5 state_is c waiting
    wait_until_not 5 guest_pid c
    guest_start c
    guests_wait c
    # b's ring is full at times, so a single ping may be lost.
    wait_until 5 reaches c "${ADDR[b]}"
done
iperf_pid=$transfer
iperf_json=$transfer_json
iperf_server_json=$transfer_server_json
iperf_finish
outage=$(iperf_outage_ms)
measure "kills=$round" "mbps=$(iperf_mbps)" "longest_pause_ms=$outage"
check_between 'longest pause in ms' 0 "$outage" $((1000 * SLOW))
for name in a b; do
    check "$name was attached once" [ "$(guest_status $name .connects)" = 1 ]
done
check "c was attached again" [ "$(guest_status c .connects)" = 4 ]
