# SPDX-License-Identifier: Apache-2.0
# A QEMU VM with Debian's kernel and its own driver: ping, IPv6, TCP, offloads.
. "$top/tests/local/vm.sh"
begin_with_setter a
ctl attach v queues=2
setter_start setter "v=$VHOST/v.sock,queues=2"
qemu_start v server queues=2 cpus=2
qemu_wait v
check_match "queues of v" "$(guest_status v '.queues | tostring')" \
    '"channel":2.*"port":2'

# Ping and TCP, both ways; $1 is what measures are called, 'from' and 'to' get
# the mean sizes of frames at the switch.
check_traffic() {
    local size

    check_ping a v
    check_ping v a
    check_ping a "${ADDR6[v]}"
    check_ping v "${ADDR6[a]}"
    for size in 0 18 19 200 1472 4000 20000; do
        check_ping a v -s $size
    done
    mean_frame v tx iperf a v -t 1
    to=$mean
    measure "$1_to_mbps=$(iperf_mbps)" "$1_to_mean=$to"
    mean_frame v rx iperf v a -t 1 -P 4
    from=$mean
    measure "$1_from_mbps=$(iperf_mbps)" "$1_from_mean=$from"
    address=${ADDR6[v]} iperf a v -6 -n 1M
    address=${ADDR6[a]} iperf v a -6 -n 1M
    iperf a v -u -b 50M -l 8000 -n 1M
    iperf v a -u -b 50M -l 8000 -n 1M
    check_checksums a
    check_checksums v
}
tx_packets() { in_guest v cat /sys/class/net/v/statistics/tx_packets; }
# More frames from the VM have come to the switch than it has sent, at least
# times $1, while $2... ran.
check_cut() {
    local sent came

    sent=$(tx_packets)
    came=$(counter v rx_packets)
    "${@:2}"
    sent=$(($(tx_packets) - sent))
    came=$(($(counter v rx_packets) - came))
    check_between "frames that came of $sent" $((sent * $1)) $came 100000000
}

# The switch takes no offloads: the setter does them.
check_cut 2 check_traffic cut
check_between "mean frame from the VM" 500 "$from" 1514
for queue in 0 1; do
    n=$(in_guest v ethtool -S v | awk "\$1 == \"tx_queue_${queue}_packets:\" {
                                          print \$2 }")
    check_between "packets of the VM's queue $queue" 20 "$n" 100000000
done

# One queue, and two again, while it runs.
in_guest v ethtool -L v combined 1
check_ping a v
check_ping v a
in_guest v ethtool -L v combined 2
check_ping a v

# The switch takes all of them.
vsctl set Open_vSwitch . other_config:userspace-tso-enable=true
switch_replace a v
check_traffic tso
check_between "mean frame from the VM" 1600 "$from" 65550
check_between "mean frame to the VM" 1600 "$to" 65550

# The VM uses none.
in_guest v ethtool -K v tx off sg off tso off gso off gro off
check_traffic off
check_between "mean frame from the VM" 500 "$from" 1514
check_setter_content
check_crossed a v
