# SPDX-License-Identifier: Apache-2.0
# A hostile switch finds nothing of a VM behind the setter; nor does another VM.
. "$top/tests/local/setter.sh"
. "$top/tests/local/isolation.sh"
hostile=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-vhost
[ -x "$hostile" ] || fail "$hostile is missing: run 'make test-programs'"
export DOMSD=$hostile_switch
begin_with_setter a
ctl attach v
ctl attach w
# One setter for v and for those who will try to reach it, and another for w.
words=("v=$VHOST/v.sock")
for i in 1 2 3 4; do
    ctl attach x$i
    words+=("x$i=$VHOST/x$i.sock")
done
setter_start setter "${words[@]}"
v_setter_pid=$setter_pid
setter_start setter-w "w=$VHOST/w.sock"
w_setter_pid=$setter_pid
wait_until 10 [ -S "$VHOST/v.sock" ]
wait_until 10 [ -S "$VHOST/w.sock" ]
vm_start v server mrg_rxbuf=1
v_pid=$vm_pid
vm_start w server mrg_rxbuf=1
w_pid=$vm_pid
wait_until 10 vm_has_driver v
check_ping a v
check_ping a w

# It looks in itself, and sees what passes it: also what v answers.
check_switch_finds_frames a v "$(secret_make)"
measure "frames_found=$found"

# The VMs' memory: theirs, and the setter's of each, as it is the hypervisor's.
secret=$(secret_make)
w_secret=$(secret_make)
secret_plant "$v_pid" shared "$secret"
secret_plant "$w_pid" shared "$w_secret"
# Finds secret $3 in process $2, and fails unless $4 is 'yes' and it was there,
# or 'no' and it was not; $1 says who that is.
check_reach() {
    secret_find "$2" "$3"
    if [ "$4" = yes ]; then
        check_between "places in $1" 1 "$found" 100
    else
        check "$1 does not reach the secret" [ "$found" = 0 ]
    fi
}
check_reach "the VM v" "$v_pid" "$secret" yes
check_reach "v's setter" "$v_setter_pid" "$secret" yes
check_reach "the VM w" "$w_pid" "$w_secret" yes
check_reach "w's setter" "$w_setter_pid" "$w_secret" yes
check_reach "w's setter, of v," "$w_setter_pid" "$secret" no
check_reach "v's setter, of w," "$v_setter_pid" "$w_secret" no
check_reach "the VM w, of v," "$w_pid" "$secret" no
check_reach "the VM v, of w," "$v_pid" "$w_secret" no
for one in "$secret" "$w_secret"; do
    secret_find_by_switch "$one"
    check "the switch does not find a VM's secret" [ "$found" = 0 ]
    check_reach "the switch, from outside," "$(switch_pid)" "$one" no
done

# Who shares which files: the setter with each side, and no others.
check "the setter has v's memory" [ -n "$(common_files \
    "$(files_of "$v_setter_pid")" "$(files_of "$v_pid")")" ]
check "the setter has the switch's rings" [ -n "$(common_files \
    "$(files_of "$v_setter_pid")" "$(files_of "$(switch_pid)")")" ]
check_nothing_shared "the switch has nothing of v" "$(switch_pid)" "$v_pid"
check_nothing_shared "the switch has nothing of w" "$(switch_pid)" "$w_pid"
check_nothing_shared "the VMs have nothing in common" "$v_pid" "$w_pid"
check_nothing_shared "w's setter has nothing of v" "$w_setter_pid" "$v_pid"
check_nothing_shared "setters have nothing in common" "$v_setter_pid" \
    "$w_setter_pid"

# A VM that knows where everything is in the setter wants to send what is there,
# or have frames written there: v's memory, and the switch's rings.
vm_inodes=$(awk '$2 ~ /s$/ && $5 != 0 { print $5 }' "/proc/$v_pid/maps" \
                | sort -u | tr '\n' '|')
places=$(awk -v vm="|$vm_inodes" '$2 ~ /^rw/ && $2 ~ /s$/ && $5 != 0 {
    split($1, ends, "-")
    kind = index(vm, "|" $5 "|") ? "memory" : "ring"
    if (!n[kind]++) print kind, "0x" ends[1] }' "/proc/$v_setter_pid/maps")
check_match "there are both to reach for" "$places" 'memory.*ring|ring.*memory'

n=0
while read -r kind place; do
    for way in read-at write-at; do
        n=$((n + 1))
        wait_until 10 [ -S "$VHOST/x$n.sock" ]
        # Frames for it to have written, to all.
        in_guest a ping -q -n -b -i 0.02 -w 20 10.0.0.255 >/dev/null 2>&1 &
        ping_pid=$!
        "$hostile" "$VHOST/x$n.sock" $way "$place" >"$RUN/hostile.log" 2>&1 \
            || fail "$way $kind: $(cat "$RUN/hostile.log")"
        kill "$ping_pid" 2>/dev/null || true
        wait_until 5 grep -q "x$n: .*address outside of the VM" \
            "$RUN/setter.log"
    done
done <<<"$places"
measure "reaches_tried=$n"
check_ping a v
check_ping a w
for name in v w; do
    check "$name's driver has not noticed" \
        [ "$(grep -c ": $name: the VM's driver is ready" "$RUN"/setter*.log \
                | awk -F: '{ n += $2 } END { print n }')" = 1 ]
done
