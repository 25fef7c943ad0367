# SPDX-License-Identifier: Apache-2.0
# Checksum and segmentation offload between guests, to one without, and to br0.
instance_begin
switch_start --set userspace-tso-enable=true
guest_start a
guest_start b
guest_start plain --no-offloads
guests_attach a b plain
check_match "features of a" "$(guest_status a '.features | join(",")')" \
    'csum,tso'
check_not "plain has offloads" \
    grep -Eq 'csum|tso' <<<"$(guest_status plain '.features | join(",")')"

# Sets 'mean' to the mean bytes of the frames that iperf3 $@ makes guest $1
# send, in both of 'forth' and 'back'.
check_ping a b
packets=$(counter a rx_packets)
bytes=$(counter a rx_bytes)
iperf a b -t 1
forth=$(iperf_mbps)
mean=$((($(counter a rx_bytes) - bytes) / ($(counter a rx_packets) - packets)))
check_between 'mean frame with TSO' 1600 $mean 61440
iperf a b -t 1 -R
measure "forth_mbps=$forth" "back_mbps=$(iperf_mbps)" "mean_frame=$mean"
iperf a b -t 1 -u -b 50M -l 8000
check_between 'UDP in fragments, Mbit/s' 20 "$(iperf_mbps)" 60

packets=$(counter plain tx_packets)
bytes=$(counter plain tx_bytes)
iperf a plain -t 1
forth=$(iperf_mbps)
mean=$((($(counter plain tx_bytes) - bytes)
        / ($(counter plain tx_packets) - packets)))
check_between 'mean frame to plain' 500 $mean 1514
iperf a plain -t 1 -R
measure "to_plain_mbps=$forth" "from_plain_mbps=$(iperf_mbps)" \
    "mean_to_plain=$mean"
check_ping a "${ADDR6[plain]}"

# The bridge's own interface, in the switch's namespace.
ip -n "$ID-sw" address add 10.0.0.200/24 dev br0
ip -n "$ID-sw" link set br0 up
check_ping a 10.0.0.200
address=10.0.0.200 iperf a sw -t 1
forth=$(iperf_mbps)
address=10.0.0.200 iperf a sw -t 1 -R
measure "to_br0_mbps=$forth" "from_br0_mbps=$(iperf_mbps)"
# br0's kernel makes frames that are too long for a record.
check "nothing was too long for a" [ "$(counter a tx_too_long)" = 0 ]
check_between 'Mbit/s to br0' $((40 / SLOW)) "$forth" 1000000
check_between 'Mbit/s from br0' $((40 / SLOW)) "$(iperf_mbps)" 1000000
check_crossed a b
