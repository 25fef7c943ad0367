# SPDX-License-Identifier: Apache-2.0
# OVS-DPDK's vhost-user, for comparison: the switch maps all of a VM's memory.
. "$top/tests/local/setter.sh"
. "$top/tests/local/isolation.sh"
folder=$DOMS_BUILD/debian-ovs-dpdk/usr/lib/openvswitch-switch-dpdk
[ -x "$folder/ovs-vswitchd-dpdk" ] \
    || fail "OVS-DPDK is missing: run 'make debian-ovs-dpdk'"
instance_begin
install -d "$OVS_RUNDIR"
VHOST=$RUN/vhost
install -d -o nobody "$VHOST"
netns_make "$SW"

ovsdb-tool create "$OVS_RUNDIR/conf.db" \
    "$DOMS_BUILD/debian-ovs/usr/share/openvswitch/vswitch.ovsschema"
in_switch ovsdb-server "$OVS_RUNDIR/conf.db" \
    --remote="punix:$OVS_RUNDIR/db.sock" \
    --unixctl="$OVS_RUNDIR/ovsdb.ctl" >>"$RUN/ovsdb.log" 2>&1 &
disown
wait_until 10 [ -S "$OVS_RUNDIR/db.sock" ]
vsctl --no-wait init -- set Open_vSwitch . other_config:dpdk-init=true \
    other_config:pmd-maxsleep=500 \
    other_config:dpdk-extra="--no-pci --no-telemetry --no-huge --legacy-mem \
-m 512 --file-prefix=$ID"
in_switch "$folder/ovs-vswitchd-dpdk" "unix:$OVS_RUNDIR/db.sock" \
    --unixctl="$OVS_RUNDIR/vswitchd.ctl" \
    --pidfile="$OVS_RUNDIR/vswitchd.pid" >>"$RUN/vswitchd.log" 2>&1 &
disown
wait_until 20 [ -S "$OVS_RUNDIR/vswitchd.ctl" ]
vswitchd_pid=$(cat "$OVS_RUNDIR/vswitchd.pid")
vsctl add-br br0 -- set bridge br0 datapath_type=netdev \
    -- add-port br0 v -- set interface v type=dpdkvhostuserclient \
    options:vhost-server-path="$VHOST/v.sock"
vm_start v client mrg_rxbuf=1
is_up() { [ "$(vsctl get interface v link_state)" = up ]; }
wait_until 20 is_up

# The same search that finds nothing in domsd.
secret=$(secret_make)
secret_plant "$vm_pid" shared "$secret"
secret_find "$vm_pid" "$secret"
check_between "places in the VM itself" 1 "$found" 100
secret_find "$vswitchd_pid" "$secret"
check_between "places in the switch" 1 "$found" 100
measure "found=$found"
check "the switch has the VM's memory" [ -n "$(common_files \
    "$(files_of "$vswitchd_pid")" "$(files_of "$vm_pid")")" ]
# By hand, since doms-local knows nothing of it.
vm_stop
ovs-appctl -T 10 -t "$OVS_RUNDIR/vswitchd.ctl" exit --cleanup
wait_until_not 10 kill -0 "$vswitchd_pid"
ovs-appctl -T 10 -t "$OVS_RUNDIR/ovsdb.ctl" exit
wait_until_not 10 [ -S "$OVS_RUNDIR/db.sock" ]
