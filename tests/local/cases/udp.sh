# SPDX-License-Identifier: Apache-2.0
# UDP both ways, in small and in full-sized datagrams, hardly any lost.
begin_with a b

# Sends at a pace that even a busy machine keeps up with, and fails if more
# than a twentieth is lost.  $1 names the run.
run_udp() {
    local name=$1 lost

    shift
    iperf a b -u -t 1 "$@"
    lost=$(jq '.end.sum.lost_percent * 100 | round' "$iperf_json")
    measure "${name}_mbps=$(iperf_mbps)" "${name}_lost_percent=$((lost / 100))"
    check_between "hundredths of a percent lost" 0 "$lost" 500
    check_between "packets received" 500 \
        "$(jq '.end.sum | .packets - .lost_packets' "$iperf_json")" 1000000
}

run_udp full -b 50M -l 1472
run_udp full_back -b 50M -l 1472 -R
run_udp small -b 2M -l 64
check_crossed a b
check_crossed b a
