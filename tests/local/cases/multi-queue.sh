# SPDX-License-Identifier: Apache-2.0
# Two queue pairs a guest, and packets on both of them both ways.
instance_begin
switch_start --set pmd-cpu-mask=0x3
for name in a b; do
    guest_start $name --queues 2
    ctl attach $name queues=2
done
guests_wait a b
for name in a b; do
    check_match "queues of $name" \
        "$(guest_status $name '.queues | tostring')" \
        '"channel":2.*"port":2'
done
check_ping a b

# doms-tap has a thread for each queue; the kernel counts what each thread has
# read from the TAP device (the guest sends) and written to it (it receives).
thread_io() {
    local io

    for io in /proc/"$(guest_pid "$1")"/task/*/io; do
        awk -v what="$2:" '$1 == what { print $2 }' "$io"
    done
}
iperf a b -t 1 -P 8
measure "mbps=$(iperf_mbps)"
iperf a b -t 1 -P 8 -R
measure "back_mbps=$(iperf_mbps)"
for what in rchar wchar; do
    mapfile -t bytes < <(thread_io a $what)
    measure "${what}_a_queue=${bytes[0]}+${bytes[1]:-0}"
    check "a has two threads" [ ${#bytes[@]} = 2 ]
    for n in "${bytes[@]}"; do
        check_between "$what of a queue" 100000 "$n" 100000000000
    done
done
rxqs=$(appctl dpif-netdev/pmd-rxq-show | grep -c 'port: [ab] .*enabled')
check "all four receive queues are polled" [ "$rxqs" = 4 ]
