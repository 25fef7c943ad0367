# SPDX-License-Identifier: Apache-2.0
# ovs-vsctl, ovs-ofctl and ovs-appctl alone attach guests and show them.
instance_begin
switch_start
guest_start a
guest_start b
vsctl add-port br0 a -- set interface a type=doms
vsctl add-port br0 port-b -- set interface port-b type=doms options:peer=b \
    options:mac=02:00:00:00:0b:0b options:n_rxq=2 options:arena=131072 \
    external-ids:iface-id=of-b
guests_wait a b
check_ping a b

check_crossed a b

get() { vsctl get interface "$@" | tr -d '"'; }
check "peer" [ "$(get port-b status:peer)" = b ]
check "state" [ "$(get port-b status:state)" = up ]
check "door" [ "$(get port-b status:door)" = socket ]
check "mac" [ "$(get port-b status:mac)" = 02:00:00:00:0b:0b ]
check "queues" [ "$(get port-b status:queues)" = 1 ]
check "arena" [ "$(get port-b status:arena)" = 131072 ]
check "pid" [ "$(get port-b status:pid)" = "$(guest_pid b)" ]
check "link_state" [ "$(get port-b link_state)" = up ]
check "no error" [ "$(get port-b error)" = '[]' ]

# Open vSwitch writes the statistics every five seconds.
counted() { (($(get a "statistics:$1") >= $2)); }
wait_until 8 counted rx_packets 5
check "doms_rx_batches" counted doms_rx_batches 1
check "doms_tx_packets" counted doms_tx_packets 5
check "doms_rx_bad_records is 0" \
    [ "$(get a statistics:doms_rx_bad_records)" = 0 ]

ports=$(ofctl dump-ports-desc br0)
check_match "dump-ports-desc" "$ports" '\(port-b\)'
shown=$(appctl doms/show)
note "$shown"
check_match "doms/show" "$shown" 'guest a \(port a\): up'
check_match "doms/show" "$shown" 'guest b \(port port-b\): up'
check "doms/status is JSON" jq -e length <<<"$(appctl doms/status)"
check_match "fdb/show" "$(appctl fdb/show br0)" 02:00:00:00:0b:0b
check "doms-ctl sees them" [ "$(ctl --json list | jq length)" = 2 ]

guest_stop b
link_is_down() { [ "$(get port-b link_state)" = down ]; }
wait_until 5 link_is_down
check "waiting" [ "$(get port-b status:state)" = waiting ]
vsctl del-port port-b
check "b has gone" [ "$(ctl --json list | jq length)" = 1 ]

# A node that the machine has not got is refused, and another is not.
refused=$(vsctl add-port br0 c -- set interface c type=doms \
    options:numa_node=99 2>&1) || :
check_match "numa_node is refused" "$(get c error) $refused" 'numa_node=99'
vsctl set interface c options:numa_node=0
check "numa_node 0 is taken" [ "$(get c error)" = '[]' ]
check "and told" [ "$(get c status:state)" = waiting ]
