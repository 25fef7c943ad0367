# SPDX-License-Identifier: Apache-2.0
# IPv6 pings, to link-local and to unique local addresses, cross the datapath.
[ -e /proc/net/if_inet6 ] || skip "this kernel has no IPv6"
begin_with a b

link_local() {
    ip -n "$ID-$1" -6 -o address show dev "$1" scope link -tentative \
        | awk '{ sub("/.*", "", $4); print $4; exit }'
}
has_link_local() { [ -n "$(link_local "$1")" ]; }

wait_until 5 has_link_local b
check_ping a "$(link_local b)%a"
measure "rtt_link_local_ms=$rtt"
check_ping a "${ADDR6[b]}"
measure "rtt_ula_ms=$rtt"
check_ping b "${ADDR6[a]}"
check_crossed a b
check_no_ping a fd00::99
