# SPDX-License-Identifier: Apache-2.0
"""Whole TCP/IP stacks: what programs in two namespaces see of a switch.

tcp  one stream of iperf3, A to B: Gbit/s received.
udp  iperf3's datagrams, A to B: Gbit/s received at the highest rate offered of
     which less than LOSS is lost.
rr   requests and responses of one byte over TCP, one at a time.

The two programs share one CPU.  Open vSwitch, which moves its taps' frames
itself, has the other; doms-tap, which moves them for DomS, is where the kernel
puts it.
"""

import json

from . import machine
from .machine import BenchError
from .processes import check_alive, end, run, wait_for
from .switches import GUEST_CPU, SWITCH_CPU, parse

CASES = ('tcp', 'udp', 'rr')
ADDRESS = {'a': '10.9.0.1', 'b': '10.9.0.2'}
PORT = 5201
DATAGRAM = 1400  # Bytes.
LOSS = 1.0       # Per cent.
# What is offered: from so many Mbit/s on in so many steps.
OFFERED, STEP, STEPS = 50, 1.3, 22
UDP_SHARE = 2.5  # That part of a run's time that each rate is offered.


def measure(switch, case, seconds):
    """Measures one of CASES on a KernelSwitch."""
    wait_for('%s: a way from A to B' % switch.name, lambda: reaches(switch))
    if case == 'rr':
        return parse(run(
            switch.settings.program('request-response'), '-k', case,
            '-a', switch.netns['a'], '-b', switch.netns['b'],
            '-i', ADDRESS['b'], '-t', str(seconds),
            '-c', str(GUEST_CPU), '-C', str(SWITCH_CPU)))
    before = placement(switch)
    result = tcp(switch, seconds) if case == 'tcp' else udp(switch, seconds)
    after = placement(switch)
    result.update(line_ns=before['line_ns'], line_after_ns=after['line_ns'],
                  placement=before['placement']
                  if before['placement'] == after['placement'] else 'moved')
    return result


def reaches(switch):
    return ' 0% packet loss' in run('ping', '-c1', '-W1', ADDRESS['b'],
                                    netns=switch.netns['a'], check=False)


def placement(switch):
    return parse(run(switch.settings.program('bench-placement'),
                            str(GUEST_CPU), str(SWITCH_CPU)))


def tcp(switch, seconds):
    # iperf3 knows whole seconds only.
    report, cpu = iperf(switch, '-t', '%d' % max(1, round(seconds)))
    received = report['end']['sum_received']['bits_per_second']
    return {'gbps': round(received / 1e9, 3), 'cpu_percent': cpu}


def udp(switch, seconds):
    """Looks for the highest rate, by halves."""
    best = {'gbps': 0.0}
    low, high = -1, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        offered = OFFERED * STEP ** middle
        report, cpu = iperf(switch, '-u', '-l', str(DATAGRAM), '-b',
                            '%dM' % offered, '--pacing-timer', '100', '-n',
                            '%d' % (offered * 1e6 / 8 * seconds / UDP_SHARE))
        total = report['end']['sum']
        received = total['bits_per_second'] * (1 - total['lost_percent'] / 100)
        # What iperf3 cannot offer is no rate of the switch's.
        if total['lost_percent'] > LOSS or received < 0.9e6 * offered:
            high = middle
        else:
            low = middle
        if total['lost_percent'] <= LOSS and received / 1e9 > best['gbps']:
            best = {'gbps': round(received / 1e9, 3), 'cpu_percent': cpu,
                    'lost_percent': round(total['lost_percent'], 2)}
    if not best['gbps']:
        raise BenchError('more than %g %% of UDP is lost at any rate' % LOSS)
    return best


def cpu_users(switch):
    users = dict(switch.helpers())
    if switch.pid():
        users['switch'] = switch.pid()
    return users


def iperf(switch, *words):
    """Runs iperf3 from A to B.  Returns its report, and who used how many per
    cent of a CPU."""
    server = switch.settings.world.start(
        'iperf3-' + switch.name, 'iperf3', '-s', '-1', '-p', str(PORT),
        netns=switch.netns['b'], cpu=GUEST_CPU)
    wait_for("iperf3's server",
             lambda: check_alive(server) or listens(server.pid))
    users = cpu_users(switch)
    used = {name: -machine.cpu_ms(pid) for name, pid in users.items()}
    busy = machine.busy_ms()
    text = run('taskset', '-c', str(GUEST_CPU), 'iperf3', '-J', '-c',
               ADDRESS['b'], '-p', str(PORT), *words,
               netns=switch.netns['a'], check=False, patience=15)
    for name, pid in users.items():
        used[name] += machine.cpu_ms(pid)
    busy = {cpu: ms - busy[cpu] for cpu, ms in machine.busy_ms().items()}
    end(server)
    report = json.loads(text or '{}')
    if 'error' in report or 'end' not in report:
        raise BenchError('iperf3: %s' % report.get('error', 'no report'))
    seconds = report['end'][
        'sum' if '-u' in words else 'sum_received']['seconds']
    percent = report['end']['cpu_utilization_percent']
    cpu = {name: round(ms / seconds / 10) for name, ms in used.items()}
    cpu['client'] = round(percent['host_total'])
    cpu['server'] = round(percent['remote_total'])
    for number, ms in busy.items():
        cpu['cpu%d' % number] = round(min(ms / seconds / 10, 100))
    return report, cpu


def listens(pid):
    """Tells whether a process in the namespace of process 'pid' listens on
    PORT."""
    text = ''.join(machine.read('/proc/%d/net/%s' % (pid, name))
                   for name in ('tcp', 'tcp6'))
    return any(' 0A ' in line and ':%04X ' % PORT in line
               for line in text.splitlines())
