# SPDX-License-Identifier: Apache-2.0
# Quiet queues of a busy thread are parked, and found when they have something.
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-guest
instance_begin
switch_start
for name in a b c; do
    guest_start $name
done
guest_start d --no-doorbell
# Queues enough that some are parked.
vsctl add-port br0 pad -- set interface pad type=doms options:n_rxq=16
guests_attach a b c d

rtts=()
pmd() { appctl doms/pmd | jq "map(.$1) | add"; }
# Prints how many queues of guest $1's port are parked.
n_parked() { appctl doms/status "$1" | jq '.[0].queues.parked'; }
parked() { [ "$(n_parked "$1")" = 1 ]; }
check_ping c a
check_ping d a

# a and b transfer all the time.
iperf_start a b -t 600 -b 200M
all_parked() {
    [ "$(n_parked pad)" = 16 ] && parked c && parked d
}
wait_until 20 all_parked
measure "parked=$(pmd parked)"
check_not "a, which sends, is parked" parked a
heated=$(pmd heated)
check "c is heard by its bell" reaches c "${ADDR[b]}"
check "d, which has no bell, is found" reaches d "${ADDR[b]}"
check "c hears others" reaches b "${ADDR[c]}"
check "both were parked" [ "$(pmd heated)" -ge $((heated + 2)) ]
check_ping c d

# A guest that sends much is polled by Open vSwitch again.
wait_until 20 all_parked
unparks=$(pmd unparks)
in_guest c ping -q -n -f -c 5000 -W 1 "${ADDR[a]}" >/dev/null
check "c was polled again" [ "$(pmd unparks)" -gt "$unparks" ]

# What changes while they are parked.
wait_until 20 all_parked
mac=$(mac_of c)
ctl detach c
wait_until_not 5 has_carrier c
ctl attach c mac="$mac"
guests_wait c
check_ping c d
wait_until 20 all_parked
guest_stop c
wait_until 5 state_is c waiting
guest_start c
guests_wait c
check_ping c d
wait_until 20 all_parked
vsctl set interface pad options:n_rxq=15
vsctl set interface d options:n_rxq=2
guests_wait d
check_ping d c
vsctl del-port pad
vsctl add-port br0 pad -- set interface pad type=doms options:n_rxq=16
check_ping d c
wait_until 20 parked c

# Guests whose bells cannot be relied upon.
ctl attach x
"$hostile" "$OVS_RUNDIR/doms.sock" x ring-for-nothing >"$RUN/x.log" 2>&1 \
    || fail "ring-for-nothing: $(cat "$RUN/x.log")"
wait_until 5 state_is x waiting
wait_until 20 parked x
"$hostile" "$OVS_RUNDIR/doms.sock" x good >"$RUN/x.log" 2>&1 \
    || fail "good, parked: $(cat "$RUN/x.log")"

# Once nobody is busy, one that is parked still rings each time.  The 1024 turns
# after which the thread parks one that is not take nearly a minute then.
wait_until 20 parked c
iperf_stop
wait_until 90 parked c
for ((i = 0; i < 20; i++)); do
    blocks=$(pmd blocks)
    blocked_since() { [ "$(pmd blocks)" -gt $((blocks + 1)) ]; }
    wait_until 5 blocked_since
    rtts+=("$(in_guest c ping -n -c 1 -W 1 "${ADDR[a]}" \
        | sed -n 's/.* time=\([0-9]*\).*/\1/p')")
done
late=$(printf '%s\n' "${rtts[@]}" | awk '$1 >= 20' | wc -l)
measure "late=$late"
check_between 'pings of 20 that took 20 ms' 0 "$late" 8
measure "longest_pause_ms=$(iperf_outage_ms)"
check_ping c d
check_ping d c
check_crossed c d
