# SPDX-License-Identifier: Apache-2.0
# 50 guests at once, each reached by others; memory stays within the limits.
instance_begin
switch_start
n=50
for i in $(seq $n); do
    guest_start g"$i"
    echo "g$i"
done >"$RUN/guests"
began=$(now_ms)
ctl attach --from "$RUN/guests"
all_up() {
    [ "$(ctl --json list | jq 'map(select(.state == "up")) | length')" = $n ]
}
wait_until 20 all_up
measure "attach_ms=$(($(now_ms) - began))"

# Each of a sample of five with each other; and everybody with the next.
for i in 1 13 25 37 50; do
    for j in 1 13 25 37 50; do
        if [ $i != $j ]; then
            wait_until 5 reaches g$i "${ADDR[g$j]}"
        fi
    done
done
for i in $(seq $n); do
    wait_until 5 reaches g"$i" "${ADDR[g$((i % n + 1))]}"
done
check_ping g1 g50
check_crossed g1 g50

iperf g1 g50 -t 1
rss=$(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(switch_pid)/status")
# What a guest maps of shared memory, in KiB.
shared=$(awk '/memfd:/ { found = 1; next } /^[0-9a-f]+-/ { found = 0 }
              found && /^Size:/ { n += $2 }
              { if ($0 ~ /memfd:/) found = 1 } END { print n + 0 }' \
             "/proc/$(guest_pid g1)/smaps")
measure "mbps=$(iperf_mbps)" "rss_mib=$rss" "shared_kib_a_queue_pair=$shared"
check_between 'shared KiB of a queue pair' 1024 "$shared" 1126
if [ "$DOMS_VARIANT" = release ]; then
    check_between 'MiB resident' 1 "$rss" 149
fi

began=$(now_ms)
# shellcheck disable=SC2046  # Many names.
ctl detach $(cat "$RUN/guests")
measure "detach_ms=$(($(now_ms) - began))"
check "no guest is left" [ "$(ctl --json list | jq length)" = 0 ]
