# SPDX-License-Identifier: Apache-2.0
# An idle switch blocks, and a doorbell, the lack of one or a change wakes it.
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-guest
begin_with a b
pid=$(switch_pid)

# Prints member $1 of the one polling thread.
pmd() { appctl doms/pmd | jq ".[0].$1"; }
pmd_exceeds() { [ "$(pmd "$1")" -gt "$2" ]; }
# Prints how often the polling thread has slept.
sleeps() {
    awk '/^voluntary/ { print $2 }' "$(grep -l '^pmd-' \
        "/proc/$pid"/task/*/comm | sed 's/comm$/status/')"
}

# With nobody sending, it sleeps about as often as it blocks: polling, it
# would sleep 500 times in the time that one block may take.
check_ping a b
wait_until 5 pmd_exceeds blocks 20
blocks=$(pmd blocks)
before=$(sleeps)
wait_until 20 pmd_exceeds blocks $((blocks + 20))
blocks=$(($(pmd blocks) - blocks))
slept=$(($(sleeps) - before))
measure "blocks=$blocks" "sleeps=$slept"
check_between 'sleeps in that many blocks' 1 "$slept" $((blocks * 20))

# A frame after silence rings.
bells=$(pmd bells)
for ((i = 0; i < 5; i++)); do
    blocks=$(pmd blocks)
    wait_until 5 pmd_exceeds blocks $((blocks + 1))
    check "b answers" reaches a "${ADDR[b]}"
done
check_between 'bells for five pings' $((bells + 5)) "$(pmd bells)" \
    $((bells + 1000))

# A lost bell costs no more than the longest sleep; forged ones wake nobody but
# the switch, which goes on to sleep.
ctl attach x
"$hostile" "$OVS_RUNDIR/doms.sock" x never-ring >"$RUN/x.log" 2>&1 \
    || fail "never-ring: $(cat "$RUN/x.log")"
waited=$(sed -n 's/^waited \(.*\) ms/\1/p' "$RUN/x.log")
measure "without_a_bell_ms=$waited"
check_between 'ms that a frame without a bell waits' 0 "$waited" $((150 * SLOW))
wait_until 5 state_is x waiting
"$hostile" "$OVS_RUNDIR/doms.sock" x ring-for-nothing >"$RUN/x.log" 2>&1 &
ringer=$!
wait_until 5 pmd_exceeds forged 10
before=$(sleeps)
wait "$ringer" || fail "ring-for-nothing: $(cat "$RUN/x.log")"
measure "forged=$(pmd forged)" "sleeps_meanwhile=$(($(sleeps) - before))"
check_ping a b

# What changes while it is asleep.
asleep() {
    local n

    n=$(pmd blocks)
    wait_until 5 pmd_exceeds blocks $((n + 1))
}
mac=$(mac_of b)
asleep
ctl detach b
asleep
ctl attach b mac="$mac"
guests_wait b
asleep
check_ping a b
asleep
vsctl set interface a options:n_rxq=3
guests_wait a
check_ping b a
asleep
vsctl set Open_vSwitch . other_config:pmd-maxsleep=0
check_ping a b
vsctl set Open_vSwitch . other_config:pmd-maxsleep=100
asleep
began=$(now_ms)
for i in 1 2 3 4 5; do
    asleep
    vsctl add-port br0 p$i -- set interface p$i type=doms
done
measure "five_ports_ms=$(($(now_ms) - began))"
asleep
guest_stop b
wait_until 5 state_is b waiting
check_crossed a b
