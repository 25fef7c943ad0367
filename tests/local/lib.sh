# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A test instance: private switches, and guests that are the kernel's own
# network stacks.  Sourced by the cases, by demo.sh and by nothing else.
#
# An instance has a run directory, $RUN, and network namespaces whose names
# begin with "$ID-": one for each switch and one for each guest.  Nothing else
# of the machine is touched, so that any number of instances run side by side,
# and beside a system's own Open vSwitch.
#
# Every process of an instance has DOMS_TEST_RUN=$RUN in its environment.  That
# is how its processes are told from all others: only such are ever signalled.
#
# instance_begin makes the instance and sets a trap that takes it down again,
# however the shell ends; with it, what is left behind is looked for, and
# anything found is a failure.
#
# Nothing here sleeps for a time that is hoped to suffice: wait_until() looks
# again and again until a condition holds or a deadline has passed.
#
# In the environment: DOMS_BUILD, the build folder (default: the tree's);
# DOMS_VARIANT, 'release' or 'asan'; DOMS_BIN, the programs' folder (default:
# bin/ of the variant); DOMS_MEASURES, a file for what 'measure' tells.

set -u -E -o pipefail
export LC_ALL=C

lib_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$lib_dir/../.." && pwd)
DOMS_BUILD=$(readlink -m "${DOMS_BUILD:-$top/build}")
DOMS_VARIANT=${DOMS_VARIANT:-release}
export DOMS_BIN=${DOMS_BIN:-$DOMS_BUILD/$DOMS_VARIANT/bin}
PATH=$DOMS_BIN:$top/tools:$PATH:/usr/local/sbin:/usr/sbin:/sbin
PATH=$PATH:$DOMS_BUILD/debian-ovs/usr/bin

# How much longer than usual everything may take.
SLOW=1
if [ "$DOMS_VARIANT" != release ]; then
    SLOW=4
fi

RUN=
ID=
SW=
switches=()         # Names of the switches that were started.
n_guests=0          # Guests so far; their addresses count up with it.
n_ports=0           # iperf3 servers so far; their ports count up with it.
declare -A ADDR     # Guest's name: its IPv4 address.
declare -A ADDR6    # Guest's name: its IPv6 address.

# Saying things.

note() { printf '%s\n' "$*"; }

# Ends the case: it has failed, and $* says how.
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# Ends the case: this machine cannot run it, and $* says why.
skip() {
    measure reason="${*// /_}"
    printf 'SKIPPED: %s\n' "$*"
    exit 77
}

# Records $@, each KEY=VALUE, as measured by this case.
measure() {
    note "measured: $*"
    if [ -n "${DOMS_MEASURES:-}" ]; then
        printf ' %s' "$@" >>"$DOMS_MEASURES"
    fi
}

# Fails unless the command $2... succeeds; $1 says what that shows.
check() {
    local what=$1

    shift
    "$@" || fail "$what (failed: $*)"
}

# Fails if the command $2... succeeds; $1 says what its failure shows.
check_not() {
    local what=$1

    shift
    ! "$@" || fail "$what (succeeded: $*)"
}

# Fails unless the text $2 matches the extended regular expression $3.
check_match() {
    [[ $2 =~ $3 ]] || fail "$1: '$2' does not match '$3'"
}

# Fails unless $2 <= $3 <= $4, all integers; $1 says of what.
check_between() {
    (($2 <= $3 && $3 <= $4)) || fail "$1 is $3, not from $2 to $4"
}

# Waiting.

# Milliseconds since the epoch.
now_ms() {
    local us=${EPOCHREALTIME/./}

    printf '%s\n' "${us%???}"
}

# Runs the command $2... until it succeeds, at most for $1 seconds.  Returns
# whether it has.
wait_for() {
    local deadline=$(($(now_ms) + $1 * 1000 * SLOW))

    shift
    until "$@" >/dev/null 2>&1; do
        if (($(now_ms) > deadline)); then
            return 1
        fi
        sleep 0.02
    done
}

# Like wait_for, but fails the case when the time is up.
wait_until() {
    wait_for "$@" || fail "waited for $1 s (times $SLOW) in vain for: ${*:2}"
}

wait_until_not() {
    wait_until "$1" not "${@:2}"
}

not() { ! "$@"; }

# The instance.

# Makes the instance.
instance_begin() {
    local program

    [ "$(id -u)" = 0 ] \
        || fail "you are not root: this makes network namespaces; use sudo"
    [ -c /dev/net/tun ] || fail "/dev/net/tun is missing: 'modprobe tun'"
    for program in domsd doms-ctl doms-tap doms-local ovs-vsctl ovs-ofctl \
            ovs-appctl ovsdb-server ip ping iperf3 jq ethtool tcpdump; do
        command -v "$program" >/dev/null \
            || fail "$program is not found: run 'make deps all', or name the" \
                    "folder of the build in DOMS_BUILD"
    done
    ID=doms-$$
    # Short, since UNIX sockets are in it.
    RUN=$(mktemp -d /tmp/doms.XXXXXX) || exit
    export DOMS_TEST_RUN=$RUN
    trap instance_end EXIT
    trap 'exit 143' TERM
    trap 'exit 130' INT
    trap 'exit 129' HUP
    trap 'say_where "${BASH_SOURCE[0]:-}" "$LINENO" "$BASH_COMMAND"' ERR
    if [ "$DOMS_VARIANT" = asan ]; then
        ASAN_OPTIONS=log_path=$RUN/sanitizer:exitcode=99:detect_leaks=1
        UBSAN_OPTIONS=log_path=$RUN/sanitizer:print_stacktrace=1
        export ASAN_OPTIONS UBSAN_OPTIONS
    fi
    switch_use sw
}

# The ERR trap.  What fails in a subshell concerns us only if that fails.
say_where() {
    if [ $BASHPID = $$ ]; then
        printf 'FAILED: %s:%s: %s\n' "${1##*/}" "$2" "$3" >&2
    fi
}

# The EXIT trap.  Exits with the status $1, or that of the shell so far.
instance_end() {
    local status=${1:-$?}

    trap - ERR
    trap '' TERM INT HUP
    set +e
    instance_take_down
    if [ -n "$(compgen -G "$RUN/sanitizer*")" ]; then
        note "FAILED: a sanitizer has reported" >&2
        head -n 60 "$RUN"/sanitizer* >&2
        status=1
    fi
    if ! assert_clean "$RUN" "$ID"; then
        status=1
    fi
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        show_logs
    fi
    rm -rf "$RUN"
    exit "$status"
}

# Ends what the instance has started.
instance_take_down() {
    local name pid

    for name in "${!ADDR[@]}"; do
        guest_signal TERM "$name" 2>/dev/null
    done
    for name in "${switches[@]}"; do
        doms-local stop --rundir "$RUN/$name" \
            || note "FAILED: doms-local stop, of switch $name" >&2
    done
    for name in "${!ADDR[@]}"; do
        wait_for 5 not guest_pid "$name" \
            || note "FAILED: doms-tap of guest $name does not end" >&2
    done
    for pid in $(own_pids "$RUN"); do
        kill -KILL "$pid" 2>/dev/null
    done
    # Those who are killed leave the sockets of VMs.
    rm -rf "$RUN/vhost"
    # A namespace lives as long as a process in it.
    wait_for 5 no_own_pids
    for name in $(ip netns list | awk -v id="$ID-" 'index($1, id) == 1 {
                                                     print $1 }'); do
        ip netns delete "$name"
    done
}

no_own_pids() { [ -z "$(own_pids "$RUN")" ]; }

# Prints the pids of the processes of the instance whose run directory is $1,
# but not this shell's and those that it runs to find them.
own_pids() {
    local directory pid parent

    for directory in /proc/[1-9]*; do
        pid=${directory#/proc/}
        if [ "$pid" != $$ ] && [ "$pid" != $BASHPID ] \
                && grep -qzsxF "DOMS_TEST_RUN=$1" "$directory/environ" \
                && read -r _ _ _ parent _ 2>/dev/null <"$directory/stat" \
                && [ "$parent" != $BASHPID ]; then
            printf '%s\n' "$pid"
        fi
    done
}

# Returns whether the instance of run directory $1 and namespace prefix $2 has
# left nothing behind but the run directory.
assert_clean() {
    local clean=true left

    left=$(own_pids "$1")
    if [ -n "$left" ]; then
        # shellcheck disable=SC2086  # Several pids.
        note "FAILED: processes are left: $(ps -o pid=,args= -p \
            "$(echo $left | tr ' ' ,)")" >&2
        clean=false
    fi
    left=$(ip netns list | awk -v id="$2-" 'index($1, id) == 1 { print $1 }')
    if [ -n "$left" ]; then
        note "FAILED: network namespaces are left:" "$left" >&2
        clean=false
    fi
    left=$(find "$1" -type s 2>/dev/null)
    if [ -n "$left" ]; then
        note "FAILED: sockets are left:" "$left" >&2
        clean=false
    fi
    left=$(awk -v run="$1/" 'index($NF, run) == 1 { print $NF }' \
               /proc/net/unix)
    if [ -n "$left" ]; then
        note "FAILED: bound sockets are left:" "$left" >&2
        clean=false
    fi
    $clean
}

# Prints the ends of the instance's logs.
show_logs() {
    local log

    for log in "$RUN"/*/supervisor.log "$RUN"/*/domsd.log "$RUN"/*.log; do
        if [ -s "$log" ]; then
            note "--- the end of ${log#"$RUN"/}:"
            tail -n 15 "$log"
        fi
    done >&2
}

# Makes the network namespace "$ID-$1".
netns_make() {
    ip netns add "$ID-$1"
    # Addresses are this instance's own: there is nobody to ask about them.
    ip netns exec "$ID-$1" sh -c 'ip link set lo up
        cd /proc/sys/net/ipv6/conf && echo 0 >default/accept_dad' 2>/dev/null \
        || true
}

netns_exists() { [ -e "/run/netns/$ID-$1" ]; }

# Switches.

# Makes $1 the switch that all of the following is about.
switch_use() {
    SW=$1
    export OVS_RUNDIR=$RUN/$SW OVS_LOGDIR=$RUN/$SW OVS_DBDIR=$RUN/$SW
    unset OVS_SYSCONFDIR
}

# Runs $@ where the switch runs.
in_switch() { ip netns exec "$ID-$SW" "$@"; }

# Starts the switch, with $@ as options of doms-local.
switch_start() {
    netns_exists "$SW" || netns_make "$SW"
    switches+=("$SW")
    in_switch doms-local start --rundir "$OVS_RUNDIR" --timeout 60 "$@"
    vsctl --may-exist add-br br0 -- set bridge br0 datapath_type=netdev
}

switch_stop() { doms-local stop --rundir "$OVS_RUNDIR"; }

switch_pid() { cat "$OVS_RUNDIR/domsd.pid"; }

# Does domsd run and answer, with another pid than $1?
switch_answers() {
    local pid

    pid=$(switch_pid) && [ "$pid" != "${1:-}" ] && appctl version
}

vsctl() { ovs-vsctl -t $((20 * SLOW)) "$@"; }
ofctl() { ovs-ofctl "$@"; }
appctl() { ovs-appctl -T $((10 * SLOW)) -t domsd "$@"; }
ctl() { doms-ctl --timeout $((10 * SLOW)) "$@"; }

# Guests.

# Runs $2... in the namespace of guest $1.
in_guest() { ip netns exec "$ID-$1" "${@:2}"; }

# Makes guest $1, or makes it again, with $2... as options of doms-tap.  It has
# its addresses when this returns; 'attach' gives it a port.
guest_start() {
    local name=$1

    shift
    netns_exists "$name" || netns_make "$name"
    rm -f "$RUN/$name.pid"
    doms-tap --name "$name" --netns "$ID-$name" --up \
        --pidfile "$RUN/$name.pid" "$@" >>"$RUN/$name.log" 2>&1 &
    disown
    wait_until 5 guest_pid "$name"
    if [ -z "${ADDR[$name]:-}" ]; then
        n_guests=$((n_guests + 1))
        ADDR[$name]=10.0.0.$n_guests
        ADDR6[$name]=fd00::$(printf %x $n_guests)
    fi
    ip -n "$ID-$name" address add "${ADDR[$name]}/24" dev "$name"
    ip -n "$ID-$name" address add "${ADDR6[$name]}/64" dev "$name" nodad \
        2>/dev/null || true
}

# Prints the pid of guest $1 if it lives.
guest_pid() {
    local pid

    pid=$(cat "$RUN/$1.pid" 2>/dev/null) \
        && grep -qzsxF "DOMS_TEST_RUN=$RUN" "/proc/$pid/environ" \
        && printf '%s\n' "$pid"
}

# Sends signal $1 to guest $2.
guest_signal() {
    local pid

    pid=$(guest_pid "$2") && kill -"$1" "$pid"
}

guest_stop() {
    guest_signal TERM "$1"
    wait_until_not 5 guest_pid "$1"
}

# Prints what the guest's own kernel says of its interface: the JSON member
# $2 of 'ip link'.
guest_link() {
    in_guest "$1" ip -j link show dev "$1" | jq -r ".[0].$2"
}
mac_of() { guest_link "$1" address; }
has_carrier() { in_guest "$1" ip link show dev "$1" | grep -q LOWER_UP; }
link_is() { [ "$(guest_link "$1" "$2")" = "$3" ]; }

# Gives the guests $@, which run, a port each.
guests_attach() {
    local name

    for name; do
        ctl attach "$name"
    done
    guests_wait "$@"
}

# Waits until the guests $@ are attached.
guests_wait() {
    local name

    for name; do
        wait_until 10 state_is "$name" up
        wait_until 5 has_carrier "$name"
    done
}

# Makes a switch and the guests $@, attached.
begin_with() {
    local name

    instance_begin
    switch_start
    for name; do
        guest_start "$name"
    done
    guests_attach "$@"
}

# What the switch knows.

# Prints what the jq expression $2 makes of all about guest $1.
guest_status() { ctl --json show "$1" | jq -r "$2"; }
state_is() { [ "$(guest_status "$1" .state)" = "$2" ]; }
counter() { guest_status "$1" ".counters.$2"; }
counter_exceeds() { [ "$(counter "$1" "$2")" -gt "$3" ]; }

# Prints the packets that the datapath's flows have carried from the guest
# with MAC $1 to that with MAC $2.
flow_packets() {
    appctl dpctl/dump-flows | awk -v from="src=$1" -v to="dst=$2" '
        index($0, from) && index($0, to) && match($0, / packets:[0-9]+/) {
            n += substr($0, RSTART + 9, RLENGTH - 9)
        }
        END { print n + 0 }'
}

# Fails unless packets from guest $1 to guest $2 have crossed the datapath of
# OVS.
check_crossed() {
    local n

    n=$(flow_packets "$(mac_of "$1")" "$(mac_of "$2")")
    measure "flow_packets=$n"
    [ "$n" -gt 0 ] || fail "no flow of the datapath has carried anything" \
        "from $1 to $2: $(appctl dpctl/dump-flows)"
}

# Waits until Open vSwitch has counted, for its rules, all that the datapath's
# flows have carried so far, and has brought those flows up to date.  The first
# wait may be for a round that was under way.
flows_settle() {
    appctl revalidator/wait
    appctl revalidator/wait
}

# Traffic.

# Can guest $1 reach address $2, tried once?  $3... are more options of ping.
reaches() { in_guest "$1" ping -q -n -c 1 -W 1 "${@:3}" "$2" >/dev/null; }

# Fails unless the first $3 pings from guest $1 to address $2, with options $4...,
# are all answered, however late: left to itself, ping takes an answer for lost
# that takes over twice as long as any before.  With a deadline it goes on until
# it has $3 answers, of which it prints a line each.
check_all_pings() {
    local n

    ping_out=$(in_guest "$1" ping -n -c "$3" -w 5 "${@:4}" "$2") || true
    n=$(sed -n 's/^[0-9]* bytes from .*icmp_seq=\([0-9]*\).*/\1/p' \
        <<<"$ping_out" | sort -nu | awk -v n="$3" '$1 <= n' | wc -l)
    [ "$n" = "$3" ] || fail "of $3 pings from $1 to $2 (${*:4}) $n are" \
        "answered: $(tail -n 12 <<<"$ping_out")"
}

# Fails unless guest $1 reaches guest $2 (or, of '.' or ':' in it, address $2)
# without any loss, once it has reached it at all.
check_ping() {
    local to=${ADDR[$2]:-$2} ping_out

    wait_until 5 reaches "$1" "$to" "${@:3}"
    check_all_pings "$1" "$to" 5 -i 0.02 "${@:3}"
    rtt=$(sed -n 's|^rtt [^=]*= [^/]*/\([^/]*\)/.*|\1|p' <<<"$ping_out")
}

# Fails if guest $1 reaches guest $2 in a few tries.
check_no_ping() {
    local to=${ADDR[$2]:-$2} out

    out=$(in_guest "$1" ping -q -n -c 4 -i 0.05 -W 0.3 "${@:3}" "$to") || true
    check_match "ping from $1 to $to, which must fail" "$out" ' 0 received'
}

listens() { in_guest "$1" ss -Hltn "sport = :$2" | grep -q .; }

# Starts an iperf3 server for one test in guest $1, with its port in
# 'iperf_port' and its output in 'iperf_server_json'.
iperf_serve() {
    n_ports=$((n_ports + 1))
    iperf_port=$((5200 + n_ports))
    iperf_server_json=$RUN/iperf-server-$iperf_port.json
    in_guest "$1" iperf3 -s -1 -J -i 0.1 -p "$iperf_port" \
        >"$iperf_server_json" 2>&1 &
    disown
    wait_until 5 listens "$1" "$iperf_port"
}

# Runs iperf3 from guest $1 to guest $2, at its address 'address' if that is in
# the environment, with $3... as options.  Its report is in 'iperf_json'.
iperf() {
    iperf_start "$@"
    iperf_finish
}

# Like 'iperf', but returns once it runs.
iperf_start() {
    local client=$1 server=$2 to=${address:-${ADDR[$2]}}

    shift 2
    iperf_serve "$server"
    iperf_json=$RUN/iperf-client-$iperf_port.json
    in_guest "$client" timeout $((30 * SLOW)) iperf3 -J -i 0.1 -c "$to" \
        -p "$iperf_port" "$@" >"$iperf_json" 2>"$iperf_json.err" &
    iperf_pid=$!
    wait_until 5 in_guest "$client" ss -Htn state established \
        "dport = :$iperf_port"
}

# Waits for the transfer of 'iperf_start', which must have had no error.
iperf_finish() {
    local status=0

    wait "$iperf_pid" || status=$?
    if [ "$status" != 0 ]; then
        fail "iperf3 ended with $status:" \
            "$(jq -r '.error // "no reason"' "$iperf_json" 2>&1)"
    fi
}

# Ends the transfer of 'iperf_start' before its time.
iperf_stop() {
    # A shell in the background waits for the program, which gets the signal.
    pkill -TERM -P "$iperf_pid" || fail "the transfer has ended by itself"
    wait "$iperf_pid" || true
}

# Prints the Mbit/s that the other end has received.
iperf_mbps() {
    jq '(.end.sum_received // .end.sum).bits_per_second / 1e6 | floor' \
        "$iperf_json"
}

iperf_server_has_ended() {
    [ -s "$iperf_server_json" ] && jq -e .end "$iperf_server_json"
}

# Prints the longest time, in ms, in which the server of the last transfer
# has received nothing.
iperf_outage_ms() {
    wait_for 5 iperf_server_has_ended \
        || fail "the iperf3 server has left no report"
    jq '[.intervals[].sum] | reduce .[] as $i ({ now: 0, most: 0 };
            .now = (if $i.bytes == 0 then .now + $i.seconds else 0 end)
            | .most = ([.most, .now] | max))
        | .most * 1000 | round' "$iperf_server_json"
}
