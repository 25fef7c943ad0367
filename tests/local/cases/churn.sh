# SPDX-License-Identifier: Apache-2.0
# Others come and go while two guests transfer: those two notice nothing.
begin_with a b
guest_start c
guest_start d
down() { not has_carrier "$1"; }

iperf_start a b -t 4
ctl attach d
rounds=0
while kill -0 "$iperf_pid" 2>/dev/null; do
    ctl attach c
    guests_wait c d
    wait_until 5 reaches c "${ADDR[d]}"
    guest_stop d
    wait_until 5 state_is d waiting
    ctl detach c
    wait_until 5 down c
    guest_start d
    rounds=$((rounds + 1))
done >"$RUN/churn.log"
iperf_finish
outage=$(iperf_outage_ms)
measure "rounds=$rounds" "mbps=$(iperf_mbps)" "longest_pause_ms=$outage"
check_between 'rounds' 2 $rounds 1000
check_between 'longest pause in ms' 0 "$outage" $((500 * SLOW))
for name in a b; do
    check "$name was attached once" \
        [ "$(guest_status $name .connects)" = 1 ]
done
