# SPDX-License-Identifier: Apache-2.0
# What is wrong is said in one line that names the field and the remedy.
begin_with a b
mac=$(mac_of a)

# Everything that the switch has of guests and ports.
state() {
    vsctl --columns=name,type,options,external_ids list interface
    vsctl list-ports br0
    ctl list
}
before=$(state | sed 's/[0-9.]*[kM]\?  *[0-9.]*[kM]\?$//')

# The command $4... must exit with $1 and say one line on its standard error
# that has the words $2 (the field) and $3 (the remedy); nothing may change.
n=0
refused() {
    local status=0 want=$1 field=$2 remedy=$3 after

    shift 3
    "$@" >"$RUN/out" 2>"$RUN/err" </dev/null || status=$?
    note "$*: $status: $(cat "$RUN/err")"
    check "'$*' exits with $want, not $status" [ "$status" = "$want" ]
    check "'$*' says one line" [ "$(wc -l <"$RUN/err")" = 1 ]
    check_match "the field of '$*'" "$(cat "$RUN/err")" "$field"
    check_match "the remedy of '$*'" "$(cat "$RUN/err")" "$remedy"
    after=$(state | sed 's/[0-9.]*[kM]\?  *[0-9.]*[kM]\?$//')
    check "'$*' changed nothing" [ "$before" = "$after" ]
    n=$((n + 1))
}

refused 2 "bridge: there is no 'nosuch'" 'the bridges are: br0' \
    ctl attach c bridge=nosuch
refused 2 'name: .*in use by port a' "detach a' first" ctl attach a
refused 2 "mac: $mac is already in use by port a" 'choose another' \
    ctl attach c mac="$mac"
for bad in 02:00:00:00:00 02:00:00:00:00:0g 020000000001 ''; do
    refused 2 'mac: ' '02:00:00:00:00:01' ctl attach c "mac=$bad"
done
refused 2 'mac: .*multicast' 'even first byte' ctl attach c \
    mac=01:00:00:00:00:01
refused 2 'mac: .*zero' '02:00:00:00:00:01' ctl attach c mac=00:00:00:00:00:00
for bad in 575 9217 99999999999999999999 -1 1500x; do
    refused 2 'mtu: ' '576 to 9216' ctl attach c "mtu=$bad"
done
for bad in 0 17 x; do
    refused 2 'queues: ' '1 to 16' ctl attach c "queues=$bad"
done
refused 2 'arena: ' '128K to 4M' ctl attach c arena=100000
refused 2 'tag: ' '0 to 4095' ctl attach c tag=4096
refused 2 'rate: ' '100M' ctl attach c rate=fast
refused 2 'name: ' 'letters, digits' ctl attach 'no/slash'
refused 2 "mtuu" 'mtu=' ctl attach c mtuu=1500
refused 2 'nosuch: no such guest' "doms-ctl list" ctl detach nosuch
refused 2 'nosuch: no such guest' "doms-ctl list" ctl show nosuch

# All of a file's guests, or none.
printf 'c\nd mtu=1\n' >"$RUN/guests"
refused 2 'guests:2: .*mtu' '576 to 9216' ctl attach --from "$RUN/guests"
printf 'c\nc\n' >"$RUN/guests"
refused 2 'guests:2: .*name' 'choose another' ctl attach --from "$RUN/guests"

# No switch where it is looked for.
refused 3 'nosuch/db.sock' 'start the switch' ctl --rundir "$RUN/nosuch" list
long=$RUN/$(printf '%0100d' 0)
refused 1 'rundir: .*too long' 'shorter|at most|choose' doms-local start \
    --rundir "$long"
refused 1 'socket.*too long|long' 'shorter|at most' \
    doms-tap --name c --socket "$long/doms.sock"
refused 1 'no VM' 'help' doms-setter
refused 1 'not a VM' 'NAME=PATH' doms-setter web1
refused 1 'not a guest.s name' 'use' doms-setter "a b=$RUN/x"
refused 1 'not a whole path' 'begin with' doms-setter web1=x.sock
refused 1 'too long' 'shorter' doms-setter "web1=$long/x"
refused 1 'another VM' 'name or socket' doms-setter "w=$RUN/x" "w=$RUN/y"
refused 1 "mode is .*not 'x'" 'server' doms-setter "w=$RUN/x,mode=x"
refused 1 "queues: '17'" 'use' doms-setter "w=$RUN/x,queues=17"
refused 1 "access is .*not '9'" '0660' doms-setter "w=$RUN/x,access=9"
refused 1 'not a word' 'help' doms-setter "w=$RUN/x,color=red"
refused 1 "'3' is not" 'use' doms-setter --cpu 7-3 "w=$RUN/x"
refused 1 'no user' 'user' doms-setter --user no-such-user "w=$RUN/x"
refused 1 'no group' 'group' doms-setter --group no-such-group "w=$RUN/x"

# Not root.  Others may not be able to read the build folder.
chmod 711 "$RUN"
mkdir -m 755 "$RUN/programs"
for name in doms-ctl doms-tap doms-local; do
    install -m 755 "$(command -v $name)" "$RUN/programs"
done
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
refused 1 'not root' 'sudo' as_nobody "$RUN/programs/doms-local" start \
    --rundir "$RUN/x"
# Whether nobody may open /dev/net/tun differs from host to host.
refused 1 '/dev/net/tun|CAP_NET_ADMIN' 'root|sudo' as_nobody "$RUN/programs/doms-tap" \
    --name c
refused 3 'Permission denied' 'sudo' as_nobody "$RUN/programs/doms-ctl" list

# No /dev/net/tun.
mkdir "$RUN/empty"
without_tun() {
    # shellcheck disable=SC2016  # Expanded by the inner shell.
    unshare --mount sh -c 'mount --bind "$1" /dev/net && shift && exec "$@"' \
        sh "$RUN/empty" "$@"
}
refused 1 '/dev/net/tun' 'modprobe|module' without_tun ip netns exec \
    "$ID-sw" doms-local start --rundir "$RUN/x"
refused 1 '/dev/net/tun' 'modprobe|module' without_tun doms-tap --name c
check_not "half a switch is left" [ -e "$RUN/x" ]

measure "refused=$n"
check_ping a b
