# SPDX-License-Identifier: Apache-2.0
# IPv4 pings between two guests cross OVS's datapath without loss.
begin_with a b

check_ping a b
measure "rtt_ms=$rtt"
check_ping b a
check_crossed a b
check_ping a b -s 1472 -M do
check_no_ping a 10.0.0.99
