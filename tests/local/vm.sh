# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# Real VMs for the cases: QEMU, without KVM so that any machine will do, with
# Debian's kernel and its own virtio-net driver, behind doms-setter.  Sourced
# by cases, in place of setter.sh.
#
# A VM is a guest as others are: ADDR, in_guest and all that is made of it work
# with its name.  Commands go to the VM, and come back, by a virtio-serial port
# that is a FIFO and a file here, as vm/init says; they may overlap.
#
# $RUN/NAME.in, .out: that port.  $RUN/NAME-console.log: the VM's console.
# $RUN/NAME.log: QEMU's own messages.

# shellcheck source=tests/local/setter.sh
. "$top/tests/local/setter.sh"

declare -A qemu_pid    # VM's name: the pid of its QEMU.
declare -A MAC         # VM's name: its MAC.

command -v qemu-system-x86_64 >/dev/null \
    || fail "qemu-system-x86_64 is not found: run 'make vm-deps'"
[ -f "$DOMS_BUILD/vm/initramfs" ] \
    || fail "$DOMS_BUILD/vm/initramfs is missing: run 'make vm-image'"

# Starts the VM $1 at the socket of the setter, or at its own ($2, 'server' or
# 'client': the setter's role).  The rest are words:
#   queues=N       queue pairs (1)
#   cpus=N         CPUs (1); its driver uses no more queues
#   device=WORDS   more of virtio-net-pci's
# Returns once QEMU runs; it boots when the setter serves its socket.
qemu_start() {
    local name=$1 role=$2 queues=1 cpus=1 device='' socket word

    shift 2
    for word; do
        local "${word?}"
    done
    if [ -z "${ADDR[$name]:-}" ]; then
        n_guests=$((n_guests + 1))
        ADDR[$name]=10.0.0.$n_guests
        ADDR6[$name]=fd00::$(printf %x $n_guests)
        MAC[$name]=52:54:00:00:00:$(printf %02x $n_guests)
    fi
    if [ "$role" = client ]; then
        socket=server=on,wait=off
    else
        socket=reconnect=1
    fi
    rm -f "$RUN/$name".{in,out}
    mkfifo "$RUN/$name.in"
    : >"$RUN/$name.out"
    # The processor is one whose memcpy() is fast when it is emulated.  One
    # thread runs all CPUs: with one for each, QEMU before 8.1 may keep a stale
    # translation of what another CPU patches meanwhile, and Linux patches
    # itself whenever the first socket with timestamps opens or the last one
    # closes, such as ping's.  The CPU then takes the breakpoint that is no
    # more for ever: a soft lockup at netif_receive_skb_list_internal+0x58.
    # Without KVM, QEMU 7.2 dies if a vhost-user device has vectors of its own
    # (it looks for KVM's), so that it has an interrupt line instead.
    qemu-system-x86_64 -name "$name" -nodefaults -no-user-config \
        -display none -machine q35 -accel tcg,thread=single -cpu qemu64 \
        -smp "$cpus" -m 256M -numa node,memdev=mem \
        -object memory-backend-memfd,id=mem,size=256M,share=on \
        -kernel "$DOMS_BUILD/vm/vmlinux" -initrd "$DOMS_BUILD/vm/initramfs" \
        -append 'console=ttyS0 quiet rdinit=/init mitigations=off
            watchdog_thresh=5 softlockup_panic=1' \
        -chardev "file,id=console,path=$RUN/$name-console.log,append=on" \
        -serial chardev:console -device virtio-serial-pci \
        -chardev "pipe,id=ctl,path=$RUN/$name" \
        -device virtserialport,chardev=ctl,name=ctl \
        -chardev "socket,id=net,path=$VHOST/$name.sock,$socket" \
        -netdev "vhost-user,id=net,chardev=net,queues=$queues" \
        -device "virtio-net-pci,netdev=net,mq=on,vectors=0,mac=${MAC[$name]}\
${device:+,$device}" \
        </dev/null >>"$RUN/$name.log" 2>&1 &
    qemu_pid[$name]=$!
    disown
    if [ "$role" = client ]; then
        wait_until 10 [ -S "$VHOST/$name.sock" ]
        chown nobody "$VHOST/$name.sock"
    fi
}

# Ends the VM $1 as a power failure does, or by signal $2.
qemu_stop() {
    kill "-${2:-KILL}" "${qemu_pid[$1]}"
    wait_until_not 10 kill -0 "${qemu_pid[$1]}"
}

# Waits until the VM $1 has booted (for the $2nd time, if given) and gives it
# its addresses.
qemu_wait() {
    wait_until 60 qemu_has_booted_or_died "$1" "${2:-1}"
    qemu_runs "$1" || fail "QEMU of VM $1 has died"
    qemu_addresses "$1"
    wait_until 10 has_carrier "$1"
}

qemu_boots() { grep -c '^@up$' "$RUN/$1.out"; }
qemu_has_booted_or_died() {
    [ "$(qemu_boots "$1")" -ge "$2" ] || ! qemu_runs "$1"
}
qemu_runs() { kill -0 "${qemu_pid[$1]}"; }

# Gives the VM $1 its name for its device, and its addresses.
qemu_addresses() {
    in_guest "$1" nic "$1" "${MAC[$1]}" "${ADDR[$1]}/24" "${ADDR6[$1]}/64"
}

# Runs $2... in the guest $1, which may be a VM.
in_guest() {
    if [ -n "${qemu_pid[$1]:-}" ]; then
        qemu_run "$@"
    else
        ip netns exec "$ID-$1" "${@:2}"
    fi
}

# Runs $2... in the VM $1.
qemu_run() {
    local name=$1 token=$BASHPID-${EPOCHREALTIME/./}

    qemu_send "$name" "$token" "${@:2}"
    wait_for 60 qemu_has_answered_or_died "$name" "$token"
    if ! grep -q "^@$token " "$RUN/$name.out"; then
        note "the VM $name does not answer: ${*:2}" >&2
        return 124
    fi
    sed -n "s/^@${token}e //p" "$RUN/$name.out" >&2
    sed -n "s/^@${token}o //p" "$RUN/$name.out"
    return "$(sed -n "s/^@$token //p" "$RUN/$name.out")"
}

qemu_has_answered_or_died() {
    grep -q "^@$2 " "$RUN/$1.out" || ! qemu_runs "$1"
}

# Has the VM $1 run $3..., and answer with token $2.
qemu_send() {
    local name=$1 token=$2 line

    shift 2
    printf -v line ' %q' "$@"
    # Opened for both, it does not wait for a QEMU that is no more.
    printf '%s\n' "$token$line" 1<>"$RUN/$name.in"
}

# Fails if guest $1 has got a segment or datagram with a wrong checksum.
check_checksums() {
    local errors

    errors=$(in_guest "$1" cat /proc/net/snmp | awk '
        $1 ~ /^(Tcp|Udp|Icmp):$/ && $2 !~ /^[0-9]/ {
            for (i = 2; i <= NF; i++)
                if ($i == "InCsumErrors") column[$1] = i
        }
        $1 ~ /^(Tcp|Udp|Icmp):$/ && $2 ~ /^[0-9]/ { n += $column[$1] }
        END { print n }')
    check "wrong checksums in $1" [ "$errors" = 0 ]
}

# Has the switch's domsd end, and waits for the next one, in which the guests
# $@ are up.
switch_replace() {
    local name pid

    pid=$(switch_pid)
    kill -KILL "$pid"
    wait_until 20 switch_answers "$pid"
    for name; do
        wait_until 20 state_is "$name" up
        wait_until 10 has_carrier "$name"
    done
}

# Sets 'mean' to the mean bytes of the frames that guest $1 sends to the switch
# ('rx') or gets from it ('tx', $2) while $3... runs.
mean_frame() {
    local name=$1 way=$2 packets bytes

    packets=$(counter "$name" "${way}_packets")
    bytes=$(counter "$name" "${way}_bytes")
    "${@:3}"
    packets=$(($(counter "$name" "${way}_packets") - packets))
    bytes=$(($(counter "$name" "${way}_bytes") - bytes))
    mean=$((packets ? bytes / packets : 0))
}

# Fails if the setter has found a rule broken, or a frame that could not be.
check_setter_content() {
    local lines

    lines=$(grep -c 'rules broken' "$RUN/setter.log") || true
    kill -USR1 "$setter_pid"
    wait_until 5 setter_has_said "$lines"
    check_not "a VM broke a rule" grep 'connection is closed for' \
        "$RUN/setter.log"
    check_not "frames were refused" grep -E \
        '[1-9][0-9]* (buffers too short|offload not|bad (length|offload))' \
        "$RUN/setter.log"
}
setter_has_said() {
    [ "$(grep -c 'rules broken' "$RUN/setter.log")" -gt "$1" ]
}

# As in lib.sh, with the VMs' consoles, and what they and the setter have
# counted.
fail() {
    local name

    printf 'FAILED: %s\n' "$*" >&2
    for name in "${!qemu_pid[@]}"; do
        note "--- the end of the console of VM $name:"
        tail -n 50 "$RUN/$name-console.log"
    done >&2
    if [ -n "${setter_pid:-}" ] && kill -USR1 "$setter_pid" 2>/dev/null; then
        for name in "${!qemu_pid[@]}"; do
            qemu_send "$name" fail ethtool -S "$name"
            SLOW=1 wait_for 3 grep '^@fail ' "$RUN/$name.out" || true
            grep '^@fail' "$RUN/$name.out" >&2 || true
        done
    fi
    exit 1
}
