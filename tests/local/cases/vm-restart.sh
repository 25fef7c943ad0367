# SPDX-License-Identifier: Apache-2.0
# A QEMU VM stays up while the setter or the switch dies, and ends alone.
. "$top/tests/local/vm.sh"
begin_with_setter a
ctl attach v
port_link_is() { [ "$(vsctl get interface v link_state)" = "$1" ]; }

# Ends the setter by signal $1, in the middle of TCP, which goes on with the
# next one, whose role is $2.
kill_setter() {
    local drivers

    drivers=$(vm_drivers v)
    iperf_start a v -t 4
    wait_until 5 counter_exceeds v tx_packets $(($(counter v tx_packets) + 100))
    setter_stop "-$1"
    setter_start setter "v=$VHOST/v.sock,mode=$2"
    wait_until 10 vm_has_driver v $((drivers + 1))
    wait_until 10 has_carrier v
    iperf_finish
    measure "$2_$1_outage_ms=$(iperf_outage_ms)"
    check_ping a v
    check_ping v a
}

# Both kinds of rings.
declare -A packed=([server]=off [client]=on)
for role in server client; do
    setter_start setter "v=$VHOST/v.sock,mode=$role"
    qemu_start v "$role" "device=packed=${packed[$role]}"
    qemu_wait v
    kill_setter KILL "$role"
    kill_setter TERM "$role"

    # The switch.
    drivers=$(vm_drivers v)
    pid=$(switch_pid)
    iperf_start v a -t 4
    kill -KILL "$pid"
    wait_until 20 switch_answers "$pid"
    guests_wait a
    wait_until 10 state_is v up
    iperf_finish
    measure "${role}_switch_outage_ms=$(iperf_outage_ms)"
    check_ping a v
    check "the VM's driver has not noticed" [ "$(vm_drivers v)" = "$drivers" ]

    # The VM.
    qemu_stop v
    wait_until 5 port_link_is down
    check_setter_content
    setter_stop
done
