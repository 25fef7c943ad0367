# SPDX-License-Identifier: Apache-2.0
# An idle setter and an idle VM sleep, and each wakes the other.
. "$top/tests/local/setter.sh"
echo=$DOMS_BUILD/$DOMS_VARIANT/tests/vhost-echo
[ -x "$echo" ] || fail "$echo is missing: run 'make test-programs'"
begin_with_setter a
ctl attach v
setter_start setter "v=$VHOST/v.sock"
wait_until 10 [ -S "$VHOST/v.sock" ]
"$echo" "$VHOST/v.sock" 02:00:00:00:00:77 >"$RUN/v.log" 2>&1 &
echo_pid=$!
wait_until 5 grep -q ready "$RUN/v.log"
wait_until 5 reaches a 10.0.0.77

# Milliseconds of CPU time of process $1.
cpu_ms() {
    local stat

    stat=$(<"/proc/$1/stat")
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    echo $(((${12} + ${13}) * 10))
}
before=$(cpu_ms "$setter_pid")
out=$(in_guest a ping -q -n -c 9 -i 0.25 -W 1 10.0.0.77) || fail "ping: $out"
used=$(($(cpu_ms "$setter_pid") - before))
check_match "pings far apart" "$out" ' 0% packet loss'
rtt=$(sed -n 's|^rtt [^=]*= [^/]*/\([^/]*\)/.*|\1|p' <<<"$out")
measure "rtt_ms=$rtt" "cpu_ms_in_2_s=$used"
check_between 'ms of CPU time in 2 s of which next to nothing happens' \
    0 "$used" $((200 * SLOW))

# The VM is notified, and notifies, much less often than there are frames when
# they come close together.
check_all_pings a 10.0.0.77 2000 -l 16 -i 0

# The setter ends, and the VM's connection with it.
setter_stop
wait_until_not 5 kill -0 "$echo_pid"
