# SPDX-License-Identifier: Apache-2.0
# A mirror shows a third guest what two others say, while it exists.
begin_with a b c

in_guest c tcpdump -l -n -i c icmp >"$RUN/tcpdump.out" 2>"$RUN/tcpdump.log" &
disown
wait_until 5 grep -q 'listening on' "$RUN/tcpdump.log"
seen() { grep -c "$1" "$RUN/tcpdump.out" || true; }
has_seen() { [ "$(seen "$1")" -ge "$2" ]; }

# To c itself, to see that tcpdump would see.
check_ping a c
wait_until 3 has_seen "${ADDR[a]} > ${ADDR[c]}: .*echo request" 5
check_ping a b
check "c sees nothing of a and b without a mirror" \
    [ "$(seen "${ADDR[b]}")" = 0 ]

vsctl -- --id=@a get port a -- --id=@c get port c \
    -- --id=@m create mirror name=m select-src-port=@a select-dst-port=@a \
        output-port=@c \
    -- set bridge br0 mirrors=@m
# Open vSwitch 3.1 gives a mirror to new flows of the datapath only.
appctl revalidator/purge
before=$(seen "${ADDR[b]}")
check_ping a b
wait_until 3 has_seen "${ADDR[b]} > ${ADDR[a]}: .*echo reply" 6
wait_until 3 has_seen "${ADDR[a]} > ${ADDR[b]}: .*echo request" 6
measure "mirrored=$(($(seen "${ADDR[b]}") - before))"

vsctl clear bridge br0 mirrors
appctl revalidator/purge
before=$(seen "${ADDR[b]}")
check_ping a b
check "c sees nothing more" [ "$(seen "${ADDR[b]}")" = "$before" ]
