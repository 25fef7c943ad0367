# SPDX-License-Identifier: Apache-2.0
# Another Open vSwitch on the machine is not disturbed, twice in a row.
instance_begin
vswitchd=
for file in /usr/lib/openvswitch-switch/ovs-vswitchd \
        "$DOMS_BUILD/debian-ovs/usr/lib/openvswitch-switch/ovs-vswitchd" \
        "$(command -v ovs-vswitchd)"; do
    if [ -x "$file" ]; then
        vswitchd=$file
        break
    fi
done
[ -n "$vswitchd" ] || skip "there is no ovs-vswitchd of Debian's"

# Debian's own daemons, in a namespace that stands for the machine, with two
# network namespaces on its bridge.
other=$RUN/other
mkdir "$other"
netns_make other
other() {
    OVS_RUNDIR=$other OVS_LOGDIR=$other OVS_DBDIR=$other \
        ip netns exec "$ID-other" "$@"
}
ovsdb-tool create "$other/conf.db" "$(find /usr/share/openvswitch \
    "$DOMS_BUILD/debian-ovs/usr/share/openvswitch" -name vswitch.ovsschema \
    2>/dev/null | head -n 1)"
other ovsdb-server "$other/conf.db" --remote=punix:"$other/db.sock" \
    --pidfile --detach --log-file -vconsole:off
other ovs-vsctl -t 10 --no-wait init
other "$vswitchd" unix:"$other/db.sock" --pidfile --detach --log-file \
    -vconsole:off -vsyslog:off
other ovs-vsctl -t 10 add-br br0 -- set bridge br0 datapath_type=netdev
for end in o1 o2; do
    netns_make $end
    ip -n "$ID-other" link add $end type veth peer name eth0 netns "$ID-$end"
    ip -n "$ID-other" link set $end up
    ip -n "$ID-$end" link set eth0 up
    ip -n "$ID-$end" address add 10.0.0.10${end#o}/24 dev eth0
    other ovs-vsctl -t 10 add-port br0 $end
done
wait_until 5 reaches o1 10.0.0.102
facts() {
    other ovs-appctl -t ovs-vswitchd version
    other ovs-vsctl show
    ip -n "$ID-other" -br link
    cat "$other/ovs-vswitchd.pid" "$other/ovsdb-server.pid"
}
known=$(facts)
# ip becomes ping, so that this is ping's pid.
ip netns exec "$ID-o1" ping -n -i 0.02 10.0.0.102 >"$RUN/ping.out" 2>&1 &
ping=$!

for round in 1 2; do
    switch_start
    guest_start a
    guest_start b
    guests_attach a b
    check_ping a b
    guest_stop a
    guest_stop b
    switch_stop
    check "no domsd" not switch_answers
    rm -rf "$OVS_RUNDIR"
done
kill -INT $ping
wait $ping || true
result=$(grep 'packet loss' "$RUN/ping.out")
note "$result"
check_match "pings through the other switch" "$result" ' 0% packet loss'
check "the other is as it was" [ "$known" = "$(facts)" ]
measure "rounds=$round" "pings=$(awk '{ print $1 }' <<<"$result")"

# In the other's own namespace, a second datapath is refused, with a reason.
check_not "a second switch in one namespace" \
    ip netns exec "$ID-other" doms-local start --rundir "$RUN/second" \
    2>"$RUN/second.err"
check_match "the reason" "$(cat "$RUN/second.err")" 'another Open vSwitch'
check "the other is as it was" [ "$known" = "$(facts)" ]
other ovs-appctl -t ovs-vswitchd exit --cleanup
other ovs-appctl -t ovsdb-server exit
all_ended() { [ -z "$(find "$other" -name '*.pid')" ]; }
wait_until 5 all_ended
