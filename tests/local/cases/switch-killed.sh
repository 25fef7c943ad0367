# SPDX-License-Identifier: Apache-2.0
# kill -9 of domsd mid-burst: guests keep what they have, and TCP goes on.
begin_with a b
vsctl set interface a mtu_request=1450
wait_until 5 link_is a mtu 1450
belongings() {
    for name in a b; do
        ip -n "$ID-$name" -o address show dev $name
        ip -n "$ID-$name" route show
        ip -n "$ID-$name" -j link show dev $name \
            | jq -c '.[0] | [.ifindex, .address, .mtu]'
        guest_pid $name
    done
}
belonged=$(belongings)

iperf_start a b -t 5
in_guest a ping -D -n -i 0.01 "${ADDR[b]}" >"$RUN/ping.out" 2>&1 &
disown
for kill in 1 2; do
    pid=$(switch_pid)
    wait_until 5 counter_exceeds a rx_packets 5000
    kill -KILL "$pid"
    wait_until 10 switch_answers "$pid"
    guests_wait a b
done
iperf_finish
outage=$(iperf_outage_ms)
ping_outage=$(awk '/bytes from/ { t = substr($1, 2) * 1000
                                  if (last && t - last > most) most = t - last
                                  last = t }
                   END { printf "%d", most }' "$RUN/ping.out")
measure "kills=$kill" "mbps=$(iperf_mbps)" "outage_ms=$outage" \
    "ping_outage_ms=$ping_outage"
check_between 'outage in ms' 50 "$outage" $((3000 * SLOW))
check_between "ping's outage in ms" 50 "$ping_outage" $((3000 * SLOW))
check "what the guests have is as it was" [ "$belonged" = "$(belongings)" ]
check_ping a b
check_ping b a -M do -s 1422
check_crossed a b
