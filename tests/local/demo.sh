#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What 'make demo' shows: two guests talk through a switch of their own; a rule
# bites; the switch is killed while they talk, and they talk on.  Everything is
# private to this run, and nothing is left behind.
#
# usage: tests/local/demo.sh [BUILD]
#
# BUILD is the project's build folder (default: build/ of this tree).

if [ $# -gt 0 ]; then
    export DOMS_BUILD=$1
fi
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
set -e

step=0
hint=
finished=false

# Starts a step with title $1; $2 says what to look at if it fails.
step() {
    step=$((step + 1))
    hint=$2
    printf '\n%s%d. %s%s\n' "$bold" $step "$1" "$plain"
}

say() { printf '   %s\n' "$@"; }

# Prints $@ as one would type it.
print_command() {
    local word line=

    for word; do
        case $word in
        '&') ;;
        *[!A-Za-z0-9_./:,=@%+-]*|'') word="'$word'" ;;
        esac
        line="$line $word"
    done
    printf '   %s$%s%s\n' "$bold" "$line" "$plain"
}

indent() { sed -u 's/^/     /'; }

# Shows the command $@, and runs it.
show() {
    print_command "$@"
    "$@" 2>&1 | indent
}

# The EXIT trap: says how it went, and cleans up.
demo_end() {
    local status=$?

    if ! $finished && [ "$status" -lt 129 ]; then
        [ "$status" != 0 ] || status=1
        {
            printf '\nThe demo has FAILED in step %d.  %s\n' $step "$hint"
            if [ $step -gt 1 ]; then
                printf 'What doms-ctl doctor finds, and the logs:\n\n'
                in_switch doms-ctl doctor || true
            fi
        } >&2
    fi
    instance_end "$status"
}

# Runs iperf3 from red to blue with $@ as options, showing what it says.  Sets
# 'mbps'.
iperf_shown() {
    iperf_serve blue
    show ip netns exec "$ID-red" iperf3 -c "${ADDR[blue]}" -p "$iperf_port" \
        -f m --forceflush "$@" | tee "$RUN/iperf.txt" \
        | grep --line-buffered -v '^ *$'
    mbps=$(sed -n 's|.* \([0-9.]*\) Mbits/sec.* receiver|\1|p' \
               "$RUN/iperf.txt")
    [ -n "$mbps" ]
}

has_intervals() { [ "$(grep -c '/sec' "$RUN/iperf.txt")" -ge "$1" ]; }

if [ -t 1 ]; then
    bold=$'\033[1m'
    plain=$'\033[0m'
else
    bold=
    plain=
fi
if [ "$(id -u)" != 0 ]; then
    echo "demo: you are not root: the demo makes network namespaces; use" \
        "'sudo make demo'" >&2
    exit 1
fi
began=$(now_ms)
instance_begin
trap demo_end EXIT

cat <<END

DomS demo.  The switch is Open vSwitch; two guests are attached to it by pages
of memory that both ends poll.  Each guest is a network namespace of this
machine's kernel, so all packets come from real TCP/IP stacks.
END

step "Start a private switch, in a run directory and a namespace of its own." \
     "Is another program using $RUN?"
netns_make sw
switches+=(sw)
print_command ip netns add "$ID-sw"
show ip netns exec "$ID-sw" doms-local start --rundir "$OVS_RUNDIR"
print_command export "OVS_RUNDIR=$OVS_RUNDIR"
show ovs-vsctl -t 20 add-br br0 -- set bridge br0 datapath_type=netdev

step "Make two guests, red and blue, and give each a port of the switch." \
     "The guests' logs are below."
for name in red blue; do
    print_command ip netns add "$ID-$name"
    print_command doms-tap --name $name --netns "$ID-$name" --up '&'
    guest_start $name
    print_command ip -n "$ID-$name" address add "${ADDR[$name]}/24" dev $name
done
show doms-ctl attach red
show doms-ctl attach blue mtu=1500
guests_wait red blue
show doms-ctl list

step "Ping: red asks, blue answers." \
     "No packets pass.  Does a firewall of this machine drop them?"
wait_until 5 reaches red "${ADDR[blue]}"
show ip netns exec "$ID-red" ping -c 20 -i 0.05 -q "${ADDR[blue]}" \
    | tee "$RUN/ping.txt"
rtt=$(sed -n 's|.*rtt [^=]*= [^/]*/\([^/]*\)/.*|\1|p' "$RUN/ping.txt")

step "Move data: TCP from red to blue." \
     "See what iperf3 says above."
iperf_shown -t 3 -i 1
speed=$mbps

step "Look at Open vSwitch's datapath: these flows carried all that." \
     "The packets went another way than through the datapath."
print_command ovs-appctl -t domsd dpctl/dump-flows
appctl dpctl/dump-flows | grep -E 'eth_type\(0x0800\).* packets:[1-9]' \
    | sed 's/recirc_id(0),//; s/packet_type([^)]*),//' | indent
flows=$(appctl dpctl/dump-flows | grep -cE ' packets:[1-9]')

step "Add an OpenFlow rule that drops pings.  The ping fails, TCP goes on." \
     "Either the rule did not bite, or it bit what it should not."
rule=priority=100,icmp,nw_src=${ADDR[red]}
# Open vSwitch counts what the datapath's flows have carried from time to time.
# Let it count the TCP now, or the rule would seem to have dropped it.
flows_settle
show ovs-ofctl add-flow br0 "$rule,actions=drop"
# The flows that the datapath has follow within half a second.
wait_until_not 2 reaches red "${ADDR[blue]}" -W 0.2
print_command ip netns exec "$ID-red" ping -c 4 -i 0.05 -W 0.5 -q \
    "${ADDR[blue]}"
in_guest red ping -c 4 -i 0.05 -W 0.5 -q "${ADDR[blue]}" \
    >"$RUN/ping.txt" || true
grep transmitted "$RUN/ping.txt" | indent
grep -q ' 0 received' "$RUN/ping.txt"
iperf_shown -t 1 -i 0
flows_settle
show ovs-ofctl dump-flows br0 icmp | tee "$RUN/rule.txt"
dropped=$(sed -n 's/.*n_packets=\([0-9]*\).*/\1/p' "$RUN/rule.txt")
[ "$dropped" -ge 4 ]
say "Without the rule, pings pass again:"
show ovs-ofctl --strict del-flows br0 "$rule"
# The datapath's own flows follow within half a second.
wait_until 5 reaches red "${ADDR[blue]}"
show ip netns exec "$ID-red" ping -c 4 -i 0.05 -q "${ADDR[blue]}" \
    | grep -E 'ping|transmitted'

step "Kill the switch while TCP runs.  A supervisor starts it again." \
     "The transfer has not survived the switch's death."
pid=$(switch_pid)
addresses=$(ip -n "$ID-red" -o address show dev red; ip -n "$ID-red" route)
: >"$RUN/iperf.txt"
iperf_shown -t 6 -i 0.5 &
transfer=$!
wait_until 10 has_intervals 4
print_command kill -9 "$pid"
kill -KILL "$pid"
wait "$transfer"
has_intervals 12
wait_until 5 switch_answers "$pid"
iperf_server_json=$RUN/iperf-server-$((5200 + n_ports + 1)).json
outage=$(iperf_outage_ms)
guests_wait red blue
[ "$addresses" = "$(ip -n "$ID-red" -o address show dev red
                    ip -n "$ID-red" route)" ]
say "The same connection went on; red's and blue's interfaces, addresses and" \
    "routes are as they were.  The supervisor's log:"
tail -n 2 "$OVS_RUNDIR/supervisor.log" | cut -d' ' -f2- | indent

step "What was seen" ""
{
    echo "ping, round trip:|$rtt ms (all sleep between pings)"
    echo "TCP, red to blue:|$speed Mbit/s"
    echo "datapath flows that carried packets:|$flows"
    echo "pings that the rule dropped:|$dropped"
    echo "nothing received after kill -9 for:|$outage ms"
    echo "memory of domsd:|$(($(awk '/^VmRSS/ { print $2 }' \
        "/proc/$(switch_pid)/status") / 1024)) MiB"
} | awk -F'|' '{ printf "   %-37s %s\n", $1, $2 }'

finished=true
instance_take_down
check "nothing is left behind" assert_clean "$RUN" "$ID"
printf '\nDone in %d s; switch, guests and namespaces are gone again.\n' \
    $((($(now_ms) - began) / 1000))
echo "Next: doms-ctl --help, and docs/."
