# SPDX-License-Identifier: Apache-2.0
# A second process with a guest's name is told so; the first is undisturbed.
begin_with a b
pid=$(guest_pid a)

netns_make second
doms-tap --name a --netns "$ID-second" --tap a2 --up \
    --pidfile "$RUN/second.pid" >"$RUN/second.log" 2>&1 &
disown
ADDR[second]=
refused() { grep -q 'not attached: .*' "$RUN/second.log"; }
wait_until 5 refused
line=$(grep -m 1 'not attached:' "$RUN/second.log")
note "it says: $line"
check_match "the reason" "$line" "name a is in use by process $pid"
check_ping a b
check "a is still the first" [ "$(guest_status a .pid)" = "$pid" ]
check "a was attached once" [ "$(guest_status a .connects)" = 1 ]

# The second is there when the first has gone.
guest_stop a
second_is_up() { [ "$(guest_status a .pid)" = "$(cat "$RUN/second.pid")" ]; }
wait_until 10 second_is_up
ip -n "$ID-second" address add 10.0.0.99/24 dev a2
check_ping b 10.0.0.99
