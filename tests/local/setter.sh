# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# doms-setter and VMs for the cases: a VM is DPDK's virtio-user, which is a
# virtio driver and a vhost-user front end in one process, with testpmd behind
# it that answers ARP and pings.  Sourced by cases, after lib.sh.

VHOST=           # Folder of the vhost-user sockets.
export DOMS_SOCKET_GROUP=nogroup

# Makes a switch and the guests $@, attached, and the folder for sockets.
begin_with_setter() {
    instance_begin
    # Others than root go through it, by names that they know.
    chmod 711 "$RUN"
    install -d -m 711 "$OVS_RUNDIR"
    VHOST=$RUN/vhost
    install -d -o nobody -g nogroup -m 755 "$VHOST"
    switch_start "${switch_options[@]}"
    local name
    for name; do
        guest_start "$name"
    done
    guests_attach "$@"
}

# Starts doms-setter named $1, with $2... as its words.
setter_start() {
    local name=$1

    shift
    doms-setter --socket "$OVS_RUNDIR/doms.sock" "$@" \
        >>"$RUN/$name.log" 2>&1 &
    setter_pid=$!
    disown
}

setter_stop() {
    kill "${1:--TERM}" "$setter_pid"
    wait_until_not 5 kill -0 "$setter_pid"
}

# Starts the VM named $1, with $2 as virtio-user's words, $3... as testpmd's.
vm_start() {
    local name=$1 words=$2

    shift 2
    ADDR[$name]=10.0.0.$((n_guests += 1))
    mkfifo "$RUN/$name.in"
    dpdk-testpmd -l 0-1 --no-huge --in-memory -m 256 --no-pci --no-telemetry \
        --log-level=lib.*:error --vdev "net_virtio_user0,mac=$(vm_mac "$name"),$words" -- \
        --forward-mode=icmpecho --auto-start --no-flush-rx \
        --total-num-mbufs=4096 --nb-cores=1 "$@" <"$RUN/$name.in" \
        >>"$RUN/$name.log" 2>&1 &
    vm_pid=$!
    disown
    # Its standard input ends when the case does.
    exec {vm_input}>"$RUN/$name.in"
}
vm_mac() { printf '02:00:00:00:%02x:%02x\n' $((${#1} % 256)) "'${1: -1}"; }

vm_stop() {
    kill "${1:--TERM}" "$vm_pid"
    wait_until_not 10 kill -0 "$vm_pid"
    rm -f "$RUN"/*.in
}

vm_is_up() { grep -q "^doms-setter: $1: the VM's driver is ready" "$RUN/setter.log"; }
