# SPDX-License-Identifier: Apache-2.0
# The setter's sockets: who may use them, and what becomes of old ones.
. "$top/tests/local/setter.sh"
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-vhost
[ -x "$hostile" ] || fail "$hostile is missing: run 'make test-programs'"
begin_with_setter
ctl attach v
ctl attach w
serves() { "$hostile" "$VHOST/v.sock" good; }

# It has the mode asked for.
for mode in 0600 0660; do
    setter_start setter "v=$VHOST/v.sock,access=$mode"
    wait_until 10 serves
    check "the mode of the socket is $mode" \
        [ "$(stat -c 0%a "$VHOST/v.sock")" = $mode ]
    setter_stop
    check "it is removed" [ ! -e "$VHOST/v.sock" ]
done

# One that somebody killed has left is replaced.
setter_start setter "v=$VHOST/v.sock"
wait_until 10 serves
setter_stop -KILL
check "it is left" [ -S "$VHOST/v.sock" ]
setter_start setter "v=$VHOST/v.sock"
wait_until 10 serves

# One that somebody listens at is not.
first=$setter_pid
setter_start second "w=$VHOST/v.sock"
wait_until 5 grep -q "another process listens at $VHOST/v.sock" \
    "$RUN/second.log"
setter_stop
check "the first is served on" serves
setter_pid=$first
setter_stop

# What is no socket stays.
echo precious >"$VHOST/v.sock"
setter_start third "v=$VHOST/v.sock"
wait_until 5 grep -q "$VHOST/v.sock is there, and no socket" "$RUN/third.log"
setter_stop
check "the file is as it was" [ "$(cat "$VHOST/v.sock")" = precious ]

# In a folder that the setter may not write to, it says so.
mkdir "$RUN/shut"
setter_start fourth "v=$RUN/shut/v.sock"
wait_until 5 grep -q \
    "no vhost-user socket at $RUN/shut/v.sock; .*may write to it" \
    "$RUN/fourth.log"
setter_stop
