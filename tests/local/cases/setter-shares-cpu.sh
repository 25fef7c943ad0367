# SPDX-License-Identifier: Apache-2.0
# A setter and the switch's polling thread share one CPU, and yield it.
. "$top/tests/local/setter.sh"
switch_options=(--set pmd-cpu-mask=0x1 --set doms-pmd-yield=true)
begin_with_setter a
ctl attach v
setter_start setter --yield --cpu 0 "v=$VHOST/v.sock"
wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
vm_start v server mrg_rxbuf=1
wait_until 10 vm_has_driver v

# Sets the policy $1 and the priority $2 of both threads.
set_policy() {
    local pid task n=0

    for pid in "$(switch_pid)" "$setter_pid"; do
        for task in /proc/"$pid"/task/*; do
            if grep -q '^pmd-c\|^setter' "$task/comm"; then
                chrt "--$1" --pid "$2" "${task##*/}"
                n=$((n + 1))
            fi
        done
    done
    check "there is one thread of each" [ $n = 2 ]
}

# With the scheduler's default policy, and with the one that hands the CPU over
# at once.
for policy in 'other 0' 'fifo 1'; do
    # shellcheck disable=SC2086
    set_policy $policy
    check_ping a v
    measure "rtt_${policy% *}=$rtt"
    check_all_pings a "${ADDR[v]}" 1000 -l 100 -i 0.002
done
