# SPDX-License-Identifier: Apache-2.0
# Access ports of two VLANs, and a trunk's guest with an interface in each.
instance_begin
switch_start
for name in a b c t; do
    guest_start $name
done
ctl attach a tag=10
ctl attach b tag=10
ctl attach c tag=20
ctl attach t trunks=10,20
guests_wait a b c t

# a, b and c share a subnet, so nothing but the tags keeps c apart.
check_ping a b
check_no_ping a c
check_no_ping c b

# The trunk's guest has an interface in each of three VLANs, with a subnet of
# its own.  A kernel without VLAN devices gets them from a switch in the guest.
vlan_interfaces() {
    local vlan

    ip -n "$ID-t" address flush dev t
    if ip -n "$ID-t" link add link t name v10 type vlan id 10 2>/dev/null; then
        ip -n "$ID-t" link add link t name v20 type vlan id 20
        ip -n "$ID-t" link add link t name v30 type vlan id 30
        measure vlans_by=kernel
    else
        switch_use t
        switch_start
        vsctl add-port br0 t
        for vlan in 10 20 30; do
            vsctl add-port br0 v$vlan tag=$vlan \
                -- set interface v$vlan type=internal
        done
        switch_use sw
        measure vlans_by=ovs
    fi
    for vlan in 10 20 30; do
        ip -n "$ID-t" link set v$vlan up
        ip -n "$ID-t" address add 10.1.$vlan.1/24 dev v$vlan
    done
}
vlan_interfaces
ip -n "$ID-a" address add 10.1.10.2/24 dev a
ip -n "$ID-c" address add 10.1.20.2/24 dev c
check_ping a 10.1.10.1
check_ping t 10.1.20.2
check_ping t 10.1.10.2

# A VLAN that the trunk does not carry; nor does it carry what has no tag.
vsctl set port a tag=30
ip -n "$ID-a" address add 10.1.30.2/24 dev a
check_no_ping a 10.1.30.1
vsctl set port t trunks=10,20,30
check_ping a 10.1.30.1
vsctl clear port a tag
check_no_ping a 10.1.30.1

# Tags can change while guests are attached.
vsctl set port a tag=20
check_ping a c
check_no_ping a b
tagged=$(appctl dpctl/dump-flows | grep -c 'vlan(vid=\|push_vlan')
measure "vlan_flows=$tagged"
check "flows have VLANs" [ "$tagged" -gt 0 ]
