# SPDX-License-Identifier: Apache-2.0
# VMs and front ends that break rules lose their connection, and no more.
. "$top/tests/local/setter.sh"
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-vhost
[ -x "$hostile" ] || fail "$hostile is missing: run 'make test-programs'"
begin_with_setter a
names=()
for ((i = 1; i <= 64; i++)); do
    names+=("x$i")
done
words=()
for name in v "${names[@]}"; do
    words+=("$name=$VHOST/$name.sock")
done
ctl attach v
vsctl $(printf -- '-- add-port br0 %s -- set interface %s type=doms ' \
    $(printf '%s %s ' $(printf '%s\n' "${names[@]}" "${names[@]}" | sort)))
setter_start setter "${words[@]}"
for name in v "${names[@]}"; do
    wait_until 10 [ -S "$VHOST/$name.sock" ]
done
vm_start v server mrg_rxbuf=1
wait_until 10 vm_has_driver v
check_ping a v

count_fds() { find "/proc/$setter_pid/fd" -mindepth 1 2>/dev/null | wc -l; }
count_maps() { wc -l <"/proc/$setter_pid/maps"; }
vm_maps() { grep -c 'memfd:hostile' "/proc/$setter_pid/maps"; }
holds_no_more() {
    [ "$(count_fds)" -le "$fds" ] && [ "$(count_maps)" -le "$maps" ] \
        && [ "$(vm_maps)" = 0 ]
}
lines() { grep -c "$1" "$RUN/setter.log"; }

# Does $2... as the VM $1, of which the setter must say something that matches
# $3, if that is not empty, and keep nothing.
n=0
misbehave() {
    local name=$1 expected=$2

    shift 2
    wait_until 5 [ -S "$VHOST/$name.sock" ]
    "$hostile" "$VHOST/$name.sock" "$@" >"$RUN/hostile.log" 2>&1 \
        || fail "$*: $(cat "$RUN/hostile.log")"
    wait_until 5 holds_no_more
    if [ -n "$expected" ]; then
        wait_until 5 grep -q "$name: .*$expected" "$RUN/setter.log"
    fi
    check "the setter lives after $*" kill -0 "$setter_pid"
    n=$((n + 1))
}

# What a good VM leaves is what is held from then on.
"$hostile" "$VHOST/x1.sock" good || fail "a good front end is not served"
wait_until_not 5 grep -q memfd:hostile "/proc/$setter_pid/maps"
fds=$(count_fds)
maps=$(($(count_maps) + 8))

# Odd, but nothing that breaks a rule, or only by chance.
for ((i = 0; i < 5; i++)); do
    misbehave "x$((i + 2))" '' odd-order "$i"
done
misbehave x1 '' full-call
misbehave x1 '' good

# Whoever does what must not be is kept out for a while.
free=("${names[@]:6}")
expel() {
    misbehave "${free[0]}" "closed for 1 s: .*$1" "${@:2}"
    free=("${free[@]:1}")
}

# What the library finds.
for ((i = 0; i < 3; i++)); do
    expel 'one that cannot be' bad-features $i
done
for i in 2 3 4 7 12; do
    expel 'one that cannot be' bad-message $i
done
for i in 0 1 3 7; do
    expel 'one that cannot be' bad-ring $i
done

# What it must not see.
for i in 0 8 9; do
    expel 'not offered' bad-message $i
done
for i in 5 6 10 11; do
    expel 'message that takes none' bad-message $i
done
expel 'too many entries' bad-ring 2
expel 'too many entries' bad-ring 8
expel 'virtqueue too many' bad-ring 9
expel 'virtqueue too many' bad-ring 10

# What the setter finds.
expel '9 memory regions with 8 file' bad-memory 6
expel 'something else than memory' bad-memory 12
expel 'memory has vanished' bad-ring 11
expel 'no eventfd' bad-ring 12
expel 'another version' bad-message 1
expel 'regions 0 and 1 overlap' bad-memory 0
expel 'regions 0 and 1 overlap' bad-memory 1
expel 'regions 0 and 1 overlap' bad-memory 2
expel '2 memory regions with 1 file' bad-memory 3
expel '2 memory regions with 0 file' bad-memory 4
expel '1 memory regions with 3 file' bad-memory 5
expel 'memory regions with 1 file' bad-memory 7
expel 'region 0 is empty' bad-memory 8
expel 'beyond its file' bad-memory 9
expel 'beyond its file' bad-memory 10
expel 'wraps around' bad-memory 11
expel 'not in the VM' bad-ring 4
expel 'no eventfd' bad-ring 5
expel 'no eventfd' bad-ring 6
expel '2 memory regions with 1 file' odd-order 5
expel 'address outside' bad-driver 0
expel 'index out of range' bad-driver 1
expel 'endless' bad-driver 2
expel 'table of indirect' bad-driver 3
expel 'too short' bad-driver 4
expel 'wrong direction' bad-driver 5
expel 'more buffers' bad-driver 6
expel 'too short' bad-driver 7
expel 'memory has vanished' bad-driver 8

# Who was kept out may return, and then nothing is held but what was at first.
misbehave x7 '' good
for name in "${names[@]}"; do
    wait_until 10 [ -S "$VHOST/$name.sock" ]
done
wait_until 5 holds_no_more
measure "misbehaviours=$n" "fds=$fds"
check "v had one driver all the time" [ "$(vm_drivers v)" = 1 ]
check_ping a v
