# SPDX-License-Identifier: Apache-2.0
# Nothing is left behind by a stop, nor by a test that is killed half-way.
begin_with a b
check_ping a b
domsd=$(switch_pid)
guest_signal TERM a
guest_signal KILL b
wait_until_not 5 guest_pid a
wait_until_not 5 guest_pid b
for name in a b; do
    wait_until_not 5 ip -n "$ID-$name" link show dev $name
done
check_not "doms-tap leaves its pid file" [ -e "$RUN/a.pid" ]
switch_stop
check_not "domsd lives" [ -e "/proc/$domsd" ]
left=$(ip -n "$ID-sw" -o link show | grep -cv ' lo: ') || true
check "no interface is left" [ "$left" = 0 ]
check "no socket is left" [ -z "$(find "$RUN" -type s)" ]
check "no pid file is left" [ -z "$(find "$RUN/sw" -name '*.pid')" ]
check "no process is left" [ -z "$(own_pids "$RUN")" ]

# The check of cleanliness finds what is left.
ip netns exec "$ID-a" sleep 100 &
stray=$!
wait_until_not 5 no_own_pids
check_not "a stray process is overlooked" assert_clean "$RUN" none 2>/dev/null
kill $stray
wait $stray || true
check_not "namespaces are overlooked" assert_clean "$RUN" "$ID" 2>/dev/null

# Another instance, told to end in the midst of a transfer.
# shellcheck disable=SC2016  # Expanded by the inner shell.
bash -c '. "$1"; set -e; begin_with x y; iperf_start x y -t 20
         echo "$RUN $ID" >"$2"; iperf_finish' bash "$lib_dir/lib.sh" \
    "$RUN/inner" \
    >"$RUN/inner.log" 2>&1 &
inner=$!
wait_until 10 test -s "$RUN/inner"
read -r inner_run inner_id <"$RUN/inner"
kill -TERM $inner
check_not "the inner instance succeeds" wait $inner
check "it leaves nothing" assert_clean "$inner_run" "$inner_id"
check_not "its run directory is left" [ -e "$inner_run" ]
