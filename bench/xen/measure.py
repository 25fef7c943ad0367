# SPDX-License-Identifier: Apache-2.0
"""What bench-xen measures between two guests, on any Xen host.

A host has dom0(command), which runs a command in Dom0, start(command) and
finish(token), which do so in the background, next_token(), and folder 'share'
of this machine, which is 'dom0_share' in Dom0.  A guest has 'name', 'domid'
and run(command).  tests/xen/lab.py has such; on_hardware.py makes them of a
real host and ssh.

Every function measures once, prints nothing, and returns numbers.
"""

import re
import time

from lab import LabError, wait_for
import no_hypervisor
from report import median

# Payloads of UDP datagrams.
SIZES = (64, 1400)
# The steady flow of which CPU and hypervisor are measured: datagrams a second.
STEADY_PPS = 2500


def reach(guest, address):
    """Waits until 'address' answers 'guest'."""
    wait_for('an answer of %s to guest %s' % (address, guest.name),
             lambda: guest.run('ping -c 1 -W 1 %s' % address,
                               check=False)[0] == 0)


def ping(guest, address, count=100, interval=0.04):
    """Returns the median and the mean round-trip time, in microseconds."""
    # Each answer goes to a file: the console is a device with interrupts.
    # A bare 'ping' would be busybox's, in the lab.
    guest.run('/usr/bin/ping -c %d -i %g -W 5 %s >/run/ping.out'
              % (count, interval, address))
    times = [float(ms) for ms in
             re.findall(r'time=([\d.]+)', guest.run(
                 'grep -o "time=[0-9.]*" /run/ping.out'))]
    if len(times) < count * 0.9:
        raise LabError('%s answered guest %s only %d pings of %d'
                       % (address, guest.name, len(times), count))
    return {'rtt_p50_us': round(1000 * median(times)),
            'rtt_us': round(1000 * sum(times) / len(times))}


def cpu(host, seconds):
    """Returns, by domain name, the percentage of a CPU that each domain takes
    during the next 'seconds'."""
    output = host.dom0('xentop -b -f -i 2 -d %d' % seconds, seconds + 90)
    last = output.split('NAME')[-1]
    # Name, state, seconds, per cent.
    return {match.group(1): float(match.group(2)) for match in
            re.finditer(r'^ *(\S.*?) +\S+ +\d+ +([\d.]+) ', last, re.M)}


def wait_background(guest, name, timeout=90):
    """Waits until what start_background() started has ended by itself.
    Returns what it printed."""
    guest.run('while kill -0 $(cat /run/%s.pid) 2>/dev/null; do sleep 0.1; '
              'done' % name, timeout)
    return guest.run('cat /run/%s.out' % name)


def iperf(host, sender, address, seconds, options):
    """Runs iperf3 for some seconds longer than 'seconds'.  Returns what it
    printed, and the CPU that domains took during 'seconds' in its midst."""
    start = time.monotonic()
    no_hypervisor.start_background(
        sender, 'iperf', 'iperf3 -c %s -t %d -f k %s'
        % (address, seconds + 1, options))
    taken = cpu(host, seconds)
    text = wait_background(sender, 'iperf')
    if 'receiver' not in text:
        raise LabError('iperf3 in guest %s, after %.0f s: %s'
                       % (sender.name, time.monotonic() - start,
                          text.strip()[-300:]))
    return text, taken


def tcp(host, sender, address, seconds):
    """One TCP stream.  Returns megabits a second at the receiver, and CPU."""
    text, taken = iperf(host, sender, address, seconds, '')
    kbit = no_hypervisor.number(r'([\d.]+) Kbits/sec +receiver', text)
    return {'tcp_mbit': round(kbit / 1000, 1)}, taken


def udp_iperf(host, sender, address, seconds, size, rate='0'):
    """iperf3's UDP at 'rate', or as fast as it can.  Returns the datagrams
    received a second, and CPU."""
    text, taken = iperf(host, sender, address, seconds,
                        '-u -b %s -l %d' % (rate, size))
    match = re.search(r'-([\d.]+) +sec .* (-?\d+)/(\d+) \(.*receiver', text)
    if not match:
        raise LabError('iperf3 in guest %s: %s' % (sender.name, text.strip()))
    received = int(match.group(3)) - int(match.group(2))
    return round(received / float(match.group(1))), taken


def udp_blast(sender, receiver, address, seconds, size):
    """udp-blast as fast as it can, which costs the guests far less than
    iperf3.  Returns datagrams a second received and sent."""
    no_hypervisor.start_background(
        receiver, 'sink', 'udp-blast sink %d %d %d wait'
        % (no_hypervisor.PORT, size, seconds))
    wait_for('the sink in guest %s' % receiver.name,
             lambda: 'ready' in receiver.run('cat /run/sink.out'))
    sent = sender.run('udp-blast send %s %d %d %d 0'
                      % (address, no_hypervisor.PORT, size, seconds + 1))
    received = no_hypervisor.stop_background(receiver, 'sink')
    span = no_hypervisor.number(r'seconds=([\d.]+)', received)
    if not span:
        raise LabError('guest %s received nothing' % receiver.name)
    return (round(no_hypervisor.number(r'received=(\d+)', received) / span),
            round(no_hypervisor.number(r'sent=(\d+)', sent) / (seconds + 1)))


def hypervisor(host, guests, switch, seconds, address):
    """What packets of a steady flow cost at the hypervisor: of
    no_hypervisor.measure(), what a table has, and then all."""
    full = no_hypervisor.measure(host, guests, switch, seconds, STEADY_PPS,
                                 SIZES[0], address)
    row = {key: full[key] for key in ('exits_per_packet',
                                      'hypercalls_per_packet',
                                      'upcalls_per_packet')}
    for key in 'grant_ops', 'evtchn_ops':
        over = sum(full[key].values()) - sum(full['idle_' + key].values())
        row[key + '_per_packet'] = round(over / full['packets'], 4)
    row['flow_pps'] = full['pps']
    row['lost_records'] = full['lost_records']
    return row, full


def prepare(host, guests, address):
    """Has the receiver of 'guests' serve, and the path warm."""
    sender, receiver = guests
    reach(sender, address)
    # A server of an earlier call would have the port.
    receiver.run('for p in $(pidof iperf3); do kill $p; done; iperf3 -s -D')
    tcp(host, sender, address, 1)


def speed(host, guests, switch, address, seconds, say=lambda _: None):
    """Measures how fast the network between 'guests' is, sender and receiver,
    of which the latter has 'address', and what CPU it takes.  'switch' is the
    guest that switches, or None if Dom0 does; 'say' is told what comes next.
    Returns a dictionary of numbers."""
    sender, receiver = guests
    row = {}
    role = {sender.name: 'sender', receiver.name: 'receiver',
            'Domain-0': 'dom0'}
    if switch:
        role[switch.name] = 'switch'

    def add_cpu(prefix, taken):
        for name, percent in taken.items():
            if name in role:
                row['%s_%s' % (prefix, role[name])] = percent

    say('warms up')
    prepare(host, guests, address)
    say('ping')
    row.update(ping(sender, address))
    say('TCP')
    numbers, taken = tcp(host, sender, address, seconds)
    row.update(numbers)
    add_cpu('cpu_tcp', taken)
    for size in SIZES:
        say('UDP, %d bytes' % size)
        row['udp%d_iperf_pps' % size], _ = udp_iperf(host, sender, address,
                                                     seconds, size)
        (row['udp%d_pps' % size],
         row['udp%d_sent_pps' % size]) = udp_blast(sender, receiver, address,
                                                   seconds, size)
    say('UDP, %d a second' % STEADY_PPS)
    rate = STEADY_PPS * SIZES[0] * 8
    row['steady_pps'], taken = udp_iperf(host, sender, address, seconds,
                                         SIZES[0], str(rate))
    add_cpu('cpu_steady', taken)
    return row


def trace(host, guests, switch, address, seconds, spin, say=lambda _: None):
    """Traces the hypervisor as packets go between 'guests'.  'spin' is called
    before, to have what polls do so without a pause.  The rest is as of
    speed().  Returns a dictionary of numbers, and one of all that was seen."""
    say('warms up')
    prepare(host, guests, address)
    say('the hypervisor')
    spin()
    row, full = hypervisor(host, guests, switch, seconds, address)
    return row, {'hypervisor': full}
