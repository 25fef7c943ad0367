# SPDX-License-Identifier: Apache-2.0
# TCP both ways, one after the other and at once.
begin_with a b

iperf a b -t 1
forth=$(iperf_mbps)
iperf a b -t 1 -R
back=$(iperf_mbps)
iperf a b -t 1 --bidir
both=$(iperf_mbps)
both_back=$(jq '.end.sum_received_bidir_reverse.bits_per_second / 1e6
                | floor' "$iperf_json")
measure "forth_mbps=$forth" "back_mbps=$back" "both_mbps=$both+$both_back"
for mbps in "$forth" "$back" "$both" "$both_back"; do
    check_between 'Mbit/s' $((40 / SLOW)) "$mbps" 1000000
done
check_crossed a b
check_crossed b a
