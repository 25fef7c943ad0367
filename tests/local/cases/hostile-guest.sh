# SPDX-License-Identifier: Apache-2.0
# Guests that misbehave in every way known cost only their own ports.
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-guest
[ -x "$hostile" ] || fail "$hostile is missing: run 'make test-programs'"
begin_with a b
door=$OVS_RUNDIR/doms.sock
for name in x y z; do
    ctl attach $name
    wait_until 5 state_is $name waiting
done
pid=$(switch_pid)

count_fds() { find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l; }
count_maps() { grep -c 'memfd:doms-' "/proc/$pid/maps"; }
rss_mib() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$pid/status"; }
# Does domsd hold no more than before?
no_more_held() {
    [ "$(count_fds)" -le "$fds" ] && [ "$(count_maps)" -le "$maps" ]
}

# Runs guest $1, which misbehaves as $2... says; it must see what it should, and
# leave nothing in domsd.
n=0
misbehave() {
    local name=$1

    shift
    "$hostile" "$door" "$name" "$@" >>"$RUN/hostile.log" 2>&1 \
        || fail "$*: $(tail -n 1 "$RUN/hostile.log")"
    wait_until 5 no_more_held
    n=$((n + 1))
}
# The same, and the port says that the guest broke it, for reason $1, until the
# next guest, a good one, has it.
breaks() {
    local reason=$1

    shift
    misbehave x break-ring "$@"
    check "$* breaks the port" state_is x broken
    check_match "the reason of $*" "$(guest_status x .reason)" "$reason"
    misbehave x good
    check "after $*, a good guest may come" state_is x waiting
}

# Each good guest's first visit warms up what domsd keeps.
fds=1000000
maps=$(count_maps)
for name in x y z; do
    misbehave $name good
done
fds=$(count_fds)
rss=$(rss_mib)

# a and b transfer all the time.
iperf_start a b -t 600 -b 50M

# Nobody hears anything more from y; ten seconds later, domsd must have had
# enough.
"$hostile" "$door" y silence >>"$RUN/hostile.log" 2>&1 &
silent=$!
wait_until 5 eval "[ \$(count_maps) = $((maps + 2)) ]"
maps=$((maps + 2))
fds=$((fds + 10))

misbehave x bad-messages
misbehave x out-of-order
misbehave x fds-with-messages
misbehave x flood
misbehave x connect-storm
misbehave x hang-up-after-hello
misbehave x hang-up-after-welcome
for state in connected waiting welcomed ready sending; do
    misbehave x killed $state
done
misbehave x write-what-is-the-switchs
breaks 'head' head-far
breaks 'head' head-back
for length in 0 13 61441 65535; do
    breaks 'length' $length
done
# Flags: an unknown one, all, and that of offloads, which nobody agreed to.
breaks 'flags' 0x0002003c
breaks 'flags' 0xffff003c
breaks 'flags' 0x0001003c
wait "$silent" || fail "silence: $(tail -n 1 "$RUN/hostile.log")"
maps=$((maps - 2))
fds=$((fds - 10))
wait_until 5 no_more_held

# Those that matter more while there is traffic for them: z sends all it can.
"$hostile" "$door" z blast "$(guest_status x .mac)" >"$RUN/blast.log" 2>&1 &
blast=$!
disown
wait_until 5 grep -q blasting "$RUN/blast.log"
wait_until 5 state_is z up
maps=$(count_maps)
fds=$(count_fds)
misbehave x good
breaks 'tail' tail
misbehave x scribble
misbehave x punch-holes
misbehave x never-wake
misbehave x hold-bell
misbehave x ring-for-nothing
misbehave x attach-storm
check "z is still there" [ "$(guest_status z .connects)" = 2 ]
kill "$blast"
wait_until 5 state_is z waiting
misbehave x good
maps=$((maps - 2))

# A port that changes or goes while its guest shakes hands.
late_ready() {
    mkfifo "$RUN/ready"
    "$hostile" "$door" x late-ready <"$RUN/ready" >"$RUN/late.log" 2>&1 &
    late=$!
    exec 9>"$RUN/ready"
    wait_until 5 grep -q welcomed "$RUN/late.log"
    "$@"
    echo >&9
    exec 9>&-
    wait "$late" || fail "late-ready, with $*: $(cat "$RUN/late.log")"
    rm "$RUN/ready"
    wait_until 5 no_more_held
}
late_ready vsctl set interface x options:arena=131072
late_ready ctl detach x
ctl attach x
misbehave x good

# A port that is set down: nothing that its guest sends gets in.
before=$(counter x rx_packets)
ofctl mod-port br0 x down
misbehave x good
ofctl mod-port br0 x up
check "no frame came in" [ "$(counter x rx_packets)" = "$before" ]
check_between 'frames dropped' 100 "$(counter x rx_down)" 100
misbehave x good
check "frames come in" [ "$(counter x rx_packets)" = $((before + 100)) ]

# A guest that does not listen while its port changes 500 times.
"$hostile" "$door" x deaf >"$RUN/deaf.log" 2>&1 &
deaf=$!
wait_until 5 grep -q attached "$RUN/deaf.log"
for ((i = 0; i < 500; i++)); do
    if ! kill -0 "$deaf" 2>/dev/null; then
        break
    fi
    vsctl set interface x mtu_request=$((1000 + i))
done
measure "changes_until_deaf_guest_is_left=$i"
wait "$deaf" || fail "deaf: $(cat "$RUN/deaf.log")"
misbehave x good

# What all that has cost.
iperf_stop
outage=$(iperf_outage_ms)
check "the transfer went on all the time" \
    [ "$(jq '.intervals | length' "$iperf_server_json")" -gt 100 ]
grown=$(($(rss_mib) - rss))
measure "attach_storm=$(sed -n 's/^attached \(.*\) times/\1/p' \
    "$RUN/hostile.log" | tail -n 1)"
measure "misbehaviours=$n" "longest_pause_ms=$outage" "grown_mib=$grown"
check "domsd has lived through it" [ "$(switch_pid)" = "$pid" ]
check_between 'longest pause of others in ms' 0 "$outage" $((500 * SLOW))
for name in a b; do
    check "$name was attached once" [ "$(guest_status $name .connects)" = 1 ]
done
if [ "$DOMS_VARIANT" = release ]; then
    check_between 'MiB more than before' -100 "$grown" 16
fi
check_ping a b
