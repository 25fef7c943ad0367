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
    if [ "$DOMS_VARIANT" = asan ]; then
        # A sanitizer's report is the setter's own to write.
        chmod 733 "$RUN"
    fi
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

# Starts the VM named $1, at the setter's socket or at its own ($2, 'server' or
# 'client': the setter's role), with $3 as more of virtio-user's words and $4...
# as testpmd's.  Returns once the setter has it.
vm_start() {
    local name=$1 role=$2 words=$3

    shift 3
    n_guests=$((n_guests + 1))
    ADDR[$name]=10.0.0.$n_guests
    if [ "$role" = client ]; then
        words=$words,server=1
    fi
    if [ ! -p "$RUN/$name.in" ]; then
        mkfifo "$RUN/$name.in"
    fi
    # It ends with its standard input, which ends with the case.
    exec {vm_input}<>"$RUN/$name.in"
    dpdk-testpmd -l 0-1 --no-huge --no-shconf -m 128 --no-pci \
        --no-telemetry --file-prefix="$ID-$name" --log-level=error \
        --vdev "net_virtio_user0,path=$VHOST/$name.sock,$words" -- \
        --forward-mode=icmpecho --auto-start --no-flush-rx --nb-cores=1 \
        --total-num-mbufs=4096 "$@" <&"$vm_input" >>"$RUN/$name.log" 2>&1 &
    vm_pid=$!
    vm_socket=
    disown
    if [ "$role" = client ]; then
        wait_until 10 [ -S "$VHOST/$name.sock" ]
        chown nobody "$VHOST/$name.sock"
        vm_socket=$VHOST/$name.sock
    fi
}

# Ends the VM, by signal $1 if given.
vm_stop() {
    kill "${1:--TERM}" "$vm_pid"
    wait_until_not 10 kill -0 "$vm_pid"
    exec {vm_input}>&-
    if [ -n "$vm_socket" ]; then
        rm -f "$vm_socket"
    fi
}

# How many times VM $1 has had a driver, by the setter's log.
vm_drivers() { grep -c ": $1: the VM's driver is ready" "$RUN/setter.log"; }
vm_has_driver() { [ "$(vm_drivers "$1")" -ge "${2:-1}" ]; }
