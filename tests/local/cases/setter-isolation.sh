# SPDX-License-Identifier: Apache-2.0
# The switch never maps a VM's memory, and the setter drops what it can.
. "$top/tests/local/setter.sh"
begin_with_setter a
ctl attach v
setter_start setter "v=$VHOST/v.sock"
wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
vm_start v server mrg_rxbuf=1
wait_until 10 vm_has_driver v
check_ping a v

# Prints the files shared with others that process $1 has mapped, as device and
# inode: names may lie.
shared_files() {
    awk '$2 ~ /s$/ && $5 != 0 { print $4 ":" $5 }' "/proc/$1/maps" | sort -u
}
switch_files=$(shared_files "$(switch_pid)")
setter_files=$(shared_files "$setter_pid")
vm_files=$(shared_files "$vm_pid")
common() { comm -12 <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }

measure "setter_and_vm_share=$(common "$setter_files" "$vm_files" | wc -l)"
check "the setter maps the VM's memory" \
    [ -n "$(common "$setter_files" "$vm_files")" ]
check "the setter maps the switch's rings" \
    [ -n "$(common "$setter_files" "$switch_files")" ]
check "the switch maps nothing of the VM's" \
    [ -z "$(common "$switch_files" "$vm_files")" ]
for fd in /proc/"$(switch_pid)"/fd/*; do
    check_not "the switch has no file of the VM's" \
        grep -qxF "$(stat -Lc %i "$fd")" <(sed 's/.*://' <<<"$vm_files")
done

# All threads of the setter.
for task in /proc/"$setter_pid"/task/*; do
    status=$(<"$task/status")
    check_match "user of $task" "$status" $'\nUid:\t65534\t65534\t65534\t65534'
    for set in CapInh CapPrm CapEff CapAmb; do
        check_match "capabilities" "$status" $'\n'$set$':\t0000000000000000'
    done
    check_match "privileges" "$status" $'\nNoNewPrivs:\t1'
    [ "$DOMS_VARIANT" = asan ] \
        || check_match "system calls" "$status" $'\nSeccomp:\t2'
done
check "the setter has a network of its own" \
    [ "$(readlink "/proc/$setter_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
check "which is empty" [ "$(nsenter -t "$setter_pid" -n ip -o link | wc -l)" = 1 ]
check_match "which is not even up" \
    "$(nsenter -t "$setter_pid" -n ip -o link)" 'state DOWN'
