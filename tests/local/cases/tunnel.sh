# SPDX-License-Identifier: Apache-2.0
# Guests of two switches meet through VXLAN and Geneve tunnels.
instance_begin
i=0
for switch in s1 s2; do
    i=$((i + 1))
    switch_use $switch
    switch_start
    guest_start g$i
    ctl attach g$i bridge=br0 mtu=1400
    guests_wait g$i
done
# The wire between the two machines.
ip -n "$ID-s1" link add wire mtu 1600 type veth \
    peer name wire mtu 1600 netns "$ID-s2"
i=0
for switch in s1 s2; do
    i=$((i + 1))
    switch_use $switch
    ip -n "$ID-$switch" link set wire up
    vsctl add-br outer -- set bridge outer datapath_type=netdev \
        -- add-port outer wire
    ip -n "$ID-$switch" address add 192.0.2.$i/24 dev outer
    ip -n "$ID-$switch" link set outer mtu 1600 up
done
switch_use s1
wait_until 10 ip netns exec "$ID-s1" ping -c 1 -W 1 192.0.2.2
check_no_ping g1 g2

for type in vxlan geneve; do
    i=0
    for switch in s1 s2; do
        i=$((i + 1))
        switch_use $switch
        vsctl --may-exist add-port br0 tunnel -- set interface tunnel \
            type=$type options:remote_ip=192.0.2.$((3 - i)) options:key=42
    done
    switch_use s1
    check_ping g1 g2 -M do -s 1372
    measure "${type}_rtt_ms=$rtt"
    flows=$(appctl dpctl/dump-flows)
    check_match "flows with $type" "$flows" 'tnl_push'
    iperf g1 g2 -t 1
    measure "${type}_mbps=$(iperf_mbps)"
done
vsctl del-port tunnel
check_no_ping g1 g2
