# SPDX-License-Identifier: Apache-2.0
"""What a packet costs at the hypervisor, on any network between two guests.

measure() sends a steady flow of UDP datagrams from one guest to another, and
traces the hypervisor meanwhile.  Then it does all the same once more, but with
a sender that sends nothing: the idle control.  Sender and receiver spin in
both, so that neither vCPU ever halts, and whatever polls does so in both.
What the flow has more than the control is what packets cost; timers, the trace
itself and consoles are in both.

Each vCPU of the domains measured needs a physical CPU of its own: pin().
"""

import os
import re
import time

from lab import LabError, wait_for
import xentrace

# Where the flow goes.
PORT = 5001
# Pages that Xen buffers for each CPU, 2 MB; it cannot be changed once set.
TRACE_PAGES = 512
# Longer than any flow lasts; it is ended by a signal.
LONG = 600


def pin(host, cpus):
    """Pins vCPUs: 'cpus' tells, by domain id, the physical CPUs of its vCPUs
    in turn."""
    for domid, places in cpus.items():
        for vcpu, cpu in enumerate(places):
            host.dom0('xl vcpu-pin %d %d %d' % (domid, vcpu, cpu))


def vendor(host):
    """Returns whose VM exits 'host' has, as xentrace.py names them."""
    status, _ = host.dom0('grep -q AuthenticAMD /proc/cpuinfo', check=False)
    return 'svm' if status == 0 else 'vmx'


def trace(host, seconds):
    """Traces 'host' for 'seconds' and returns the Trace."""
    running = xentrace.running_of(host.dom0('xl vcpu-list'))
    name = 'trace-%s' % host.next_token()
    # Xen has xentrace write from its own pages, which 9p cannot.
    host.dom0('xentrace -D -S %d -T %d -e %#x /run/%s 2>&1 && '
              'cp /run/%s %s/ && rm /run/%s'
              % (TRACE_PAGES, seconds, xentrace.MASK, name, name,
                 getattr(host, 'dom0_share', '/host'), name),
              timeout=seconds + 90)
    path = os.path.join(host.share, name)
    try:
        return xentrace.read(path, running, vendor(host))
    finally:
        os.unlink(path)


def start_background(guest, name, command):
    """Starts 'command' in 'guest', for stop_background() with 'name'."""
    guest.run('%s >/run/%s.out 2>&1 & echo $! >/run/%s.pid'
              % (command, name, name))


def stop_background(guest, name):
    """Ends what start_background() started, and returns what it printed."""
    return guest.run('exec 2>/dev/null; kill $(cat /run/{0}.pid); '
                     'while kill -0 $(cat /run/{0}.pid); do sleep 0.1; done;'
                     ' cat /run/{0}.out'.format(name))


def number(pattern, text):
    """Returns the number that 'pattern' finds in 'text'."""
    match = re.search(pattern, text)
    if not match:
        raise LabError('%r is not in: %s' % (pattern, text.strip()))
    return float(match.group(1))


def events(run):
    """Returns how many event-channel interrupts, in all, the domain has had of
    which 'run' runs a command."""
    total = 0
    for line in run('cat /proc/interrupts').splitlines():
        # Number, a count for each CPU, chip, kind, name.
        match = re.match(r' *\d+:((?: +\d+)+) +xen-', line)
        if match:
            total += sum(int(n) for n in match.group(1).split())
    return total


def flow(host, sender, receiver, address, seconds, size, pps, runs):
    """One flow, or the control if 'size' is 0, with a trace of 'seconds' in
    its midst.  'runs' are functions that run a command in a domain, by domain
    id.  Returns what was counted in that time."""
    start_background(receiver, 'sink', 'udp-blast sink %d %d %d spin'
                     % (PORT, size, LONG))
    wait_for('the sink in guest %s' % receiver.name,
             lambda: 'ready' in receiver.run('cat /run/sink.out'))
    start_background(sender, 'blast', 'udp-blast send %s %d %d %d %d'
                     % (address, PORT, size, LONG, pps))
    if size:
        wait_until_received(receiver)
    before = {domid: events(run) for domid, run in runs.items()}
    start = time.monotonic()
    traced = trace(host, seconds)
    elapsed = time.monotonic() - start
    after = {domid: events(run) for domid, run in runs.items()}
    sent = stop_background(sender, 'blast')
    received = stop_background(receiver, 'sink')
    result = {
        'trace': traced,
        'sent': int(number(r'sent=(\d+)', sent)),
        'received': int(number(r'received=(\d+)', received)),
        'events': {domid: (after[domid] - before[domid]) / elapsed
                      for domid in runs},
    }
    for key, text in ('sent', sent), ('received', received):
        span = number(r'seconds=([\d.]+)', text)
        result[key + '_pps'] = result[key] / span if span else 0
    return result


def wait_until_received(guest):
    """Waits until 'guest' has received 1,000 more datagrams."""
    def datagrams():
        return int(guest.run("awk '/^Udp: [0-9]/ { print $2 }' "
                             '/proc/net/snmp'))
    start = datagrams()
    wait_for('the flow to guest %s' % guest.name,
             lambda: datagrams() - start >= 1000)


def measure(host, guests, doms=None, seconds=5, pps=2500, size=64,
            address='10.9.0.2', others=()):
    """Measures what a packet costs at the hypervisor.

    'guests' are the sender and the receiver, which has 'address'; 'doms' is
    the guest that switches between them, DomS or a driver domain, or None if
    Dom0 does.  'others' are further domain ids to tell about.  The flow is
    'pps' datagrams of 'size' bytes a second, traced for 'seconds'.

    Returns a dictionary:
      packets, pps        received while it was traced, and a second
      sent_pps            sent a second
      seconds             that the trace took, by the control's clock
      exits_per_packet    VM exits (of a PV domain: entries) of the sender, the
                          receiver and the switching domain, over the control
      hypercalls_per_packet, upcalls_per_packet   the same of those
      grant_ops, evtchn_ops     by domain name: hypercalls while it was traced
      idle_grant_ops, idle_evtchn_ops   the same of the control
      lost_records        that Xen dropped, in both; should be 0
      unknown             exits and hypercalls that no domain is known of
      domains             by domain name: all of that, and exits and
                          hypercalls a second by name, with and without flow
    """
    sender, receiver = guests
    domains = {sender.name: sender.domid, receiver.name: receiver.domid,
               doms.name if doms else 'dom0': doms.domid if doms else 0}
    measured = dict(domains)
    if doms:
        domains['dom0'] = 0
    domains.update(('domain-%d' % domid, domid) for domid in others)

    # A PV domain's upcalls are in no trace, but it counts the events.
    runs = {sender.domid: sender.run, receiver.domid: receiver.run,
            0: host.dom0}
    if doms and hasattr(doms, 'run'):
        runs[doms.domid] = doms.run

    busy = flow(host, sender, receiver, address, seconds, size, pps, runs)
    idle = flow(host, sender, receiver, address, seconds, 0, pps, runs)
    rate = busy['received_pps']
    if not rate:
        raise LabError('guest %s received nothing of the flow of %d a second'
                       % (receiver.name, pps))
    result = {
        'packets': round(rate * seconds), 'pps': round(rate),
        'sent_pps': round(busy['sent_pps']), 'seconds': seconds,
        'lost_records': busy['trace'].lost + idle['trace'].lost,
        'unknown': sum(len_of(run['trace'].vcpus.get(xentrace.UNKNOWN))
                       for run in (busy, idle)),
        'domains': {name: compare(domid, busy, idle, seconds, rate)
                    for name, domid in domains.items()},
    }
    for key in ('grant_ops', 'evtchn_ops', 'idle_grant_ops',
                'idle_evtchn_ops'):
        result[key] = {name: result['domains'][name][key] for name in measured}
    for key in 'exits', 'hypercalls', 'upcalls':
        result[key + '_per_packet'] = round(
            sum(result['domains'][name][key + '_per_packet']
                for name in measured), 4)
    return result


def len_of(counts):
    """Returns the exits and hypercalls of 'counts', which may be None."""
    if counts is None:
        return 0
    return counts.n_exits + sum(counts.hypercalls.values())


def compare(domid, busy, idle, seconds, rate):
    """Returns what domain 'domid' did in 'busy' and in 'idle', each traced for
    'seconds', and a packet at 'rate' packets a second."""
    flow_counts = busy['trace'].domain(domid)
    idle_counts = idle['trace'].domain(domid)

    def upcalls(run, counts):
        if counts.injected or domid not in run['events']:
            return counts.upcalls / seconds
        return run['events'][domid]

    def a_second(counter):
        return {name: round(n / seconds, 1)
                for name, n in counter.most_common()}

    def a_packet(with_flow, without):
        return round((with_flow - without) / rate, 4)

    return {
        'exits_per_packet': a_packet(flow_counts.n_exits / seconds,
                                     idle_counts.n_exits / seconds),
        'hypercalls_per_packet': a_packet(
            sum(flow_counts.hypercalls.values()) / seconds,
            sum(idle_counts.hypercalls.values()) / seconds),
        'upcalls_per_packet': a_packet(upcalls(busy, flow_counts),
                                       upcalls(idle, idle_counts)),
        'grant_ops': flow_counts.grant_ops,
        'evtchn_ops': flow_counts.evtchn_ops,
        'idle_grant_ops': idle_counts.grant_ops,
        'idle_evtchn_ops': idle_counts.evtchn_ops,
        'exits': a_second(flow_counts.exits),
        'idle_exits': a_second(idle_counts.exits),
        'hypercalls': a_second(flow_counts.hypercalls),
        'idle_hypercalls': a_second(idle_counts.hypercalls),
        'upcalls': round(upcalls(busy, flow_counts), 1),
        'idle_upcalls': round(upcalls(idle, idle_counts), 1),
    }
