# SPDX-License-Identifier: Apache-2.0
"""Cases: the switch, or a guest, dies under traffic."""

import time

from case import case, check, joined
from traffic import Transfer
from util import LabError, PATIENCE, wait_for

def carries_on(lab, doms, transfer, kill, anew):
    """Has 'kill' end the switch, and waits until 'transfer' goes on by itself.
    With 'anew' it is the domain that ends.  Returns the outage in
    milliseconds, and the DomS that there is then."""
    start = time.monotonic()
    kill()
    if anew:
        doms = lab.wait_doms(other_than=doms.domid)
    transfer.wait_moving(since=time.monotonic())
    return transfer.outage_ms(start), doms


def panic(lab, doms):
    """Makes DomS's kernel panic."""
    lab.write('in/crash', 'echo c >/proc/sysrq-trigger\n')
    lab.dom0('cat /host/in/crash >$(xenstore-read '
             '/local/domain/%d/console/tty)' % doms.domid)


def steady_watchdog(lab):
    """Has the watchdog start DomS anew at once, however often it dies."""
    lab.dom0('printf "stable_s=1\\nrestart_limit=0\\n" >>/etc/doms/doms.conf')


@case
def switch_dies(lab):
    """domsd is killed, DomS is destroyed, panics and hangs: TCP goes on."""
    steady_watchdog(lab)
    doms, (a, b) = joined(lab, 'pv', 'ab', watchdog=True)
    before = a.run('/bin/ip -o link show eth0; /bin/ip -o addr show eth0')
    result = {}
    with Transfer(a, b, '10.0.0.2', 240) as transfer:
        result['outage_ms_domsd_killed'], doms = carries_on(
            lab, doms, transfer, doms.kill_domsd, anew=False)
        for name, kill in (
                ('destroyed', lambda: lab.dom0('xl destroy doms')),
                ('panicked', lambda: panic(lab, doms)),
                ('hung', lambda: lab.dom0('xl pause doms'))):
            result['outage_ms_' + name], doms = carries_on(
                lab, doms, transfer, kill, anew=True)
        transfer.stop()
    after = a.run('/bin/ip -o link show eth0; /bin/ip -o addr show eth0')
    check(before == after, 'eth0 is not what it was: %s, then %s'
          % (before, after))
    a.reach('10.0.0.2')
    return result


@case
def ten_destroys(lab):
    """DomS is destroyed ten times in a row: no port is lost, and no grant, page
    or xenstore node is left over."""
    steady_watchdog(lab)
    doms, guests = joined(lab, 'pv', 'ab', watchdog=True)
    a, b = guests

    def settled():
        a.reach('10.0.0.2')
        counts = lab.counters()
        counts['free_a'], counts['free_b'] = (
            int(guest.run("awk '/^MemFree/ { print $2 }' /proc/meminfo"))
            for guest in guests)
        counts['grants_a'] = lab.grants().get(a.domid)
        return counts
    # The second life has what the first made: logs, nodes of the past.
    lab.dom0('xl destroy doms')
    doms = lab.wait_doms(other_than=doms.domid)
    before = settled()
    start = time.monotonic()
    for _ in range(10):
        lab.dom0('xl destroy doms')
        doms = lab.wait_doms(other_than=doms.domid)
        a.reach('10.0.0.2')
    seconds = time.monotonic() - start
    after = settled()
    for key in 'nodes', 'domains', 'zombies', 'grants', 'grants_a':
        check(after[key] <= before[key], '%s: %s before, %s after'
              % (key, before[key], after[key]))
    # A leak of the rings would be 40 MiB.
    for key in 'free_a', 'free_b':
        check(after[key] > before[key] - 4096, 'a guest has lost memory: %s '
              'kB free before, %s after' % (before[key], after[key]))
    check(sorted(doms.ports()) == ['a', 'b'], 'ports: %s' % doms.ports())
    return {'each_s': round(seconds / 10, 1), 'nodes': after['nodes'],
            'grants': after['grants'], 'zombies': after['zombies']}


def guest_ends(lab, doms, guest, name, end):
    """Has 'end' end 'guest', and waits until Xen has nothing left of it.
    Returns the milliseconds that this took."""
    domid = guest.domid
    epoch = doms.ports()['c']['epoch']
    start = time.monotonic()
    end()
    lab.wait_gone(domid)
    gone = round(1000 * (time.monotonic() - start))
    check(doms.ports()['c']['epoch'] == epoch,
          'domsd did not survive that a guest was %s' % name)
    wait_for('the port of a %s guest to wait' % name,
             lambda: doms.ports()[guest.name]['state'] == 'waiting')
    return gone


def come_back(lab, guest, target):
    """Makes 'guest' anew: its port comes by itself."""
    again = lab.create(guest.name, 'pv')
    again.wait_up()
    again.address('10.0.0.2/24')
    again.reach(target)
    return again


@case
def guest_dies(lab):
    """A guest is destroyed, shut down, panics and reboots under traffic: no
    zombie is left, DomS and the others go on, and the guest finds its port
    again."""
    doms, (a, b, c) = joined(lab, 'pv', 'abc', watchdog=True)
    result = {}
    for name, end in (
            ('destroyed', lambda: lab.dom0('xl destroy b')),
            ('shut_down', lambda: lab.dom0('xl shutdown b')),
            ('panicked', lambda: lab.dom0(
                'echo "echo c >/proc/sysrq-trigger" >$(xenstore-read '
                '/local/domain/%d/console/tty)' % b.domid))):
        with Transfer(a, b, '10.0.0.2') as transfer:
            result['gone_ms_' + name] = guest_ends(lab, doms, b, name, end)
            a.run('kill -9 $(pidof iperf3)', check=False)
            transfer.sender = c
        c.reach('10.0.0.1')
        b = come_back(lab, b, '10.0.0.1')
    b.reboot()
    b.address('10.0.0.2/24')
    b.reach('10.0.0.1')
    counts = lab.counters()
    check(not counts['zombies'], '%d zombies' % counts['zombies'])
    return result


@case
def save_restore(lab):
    """A guest is saved and restored under traffic: its interface, addresses
    and port come back, and DomS and the others go on."""
    doms, (a, b, c) = joined(lab, 'pv', 'abc', watchdog=True)
    before = b.run('/bin/ip -o addr show eth0')
    with Transfer(a, b, '10.0.0.2'):
        old = b.domid
        start = time.monotonic()
        lab.dom0('xl save b /run/b.save', 2 * PATIENCE)
        saved = round(1000 * (time.monotonic() - start))
        lab.wait_gone(old)
        c.reach('10.0.0.1')
        lab.restore(b, '/run/b.save')
        a.run('kill -9 $(pidof iperf3)', check=False)
    c.reach('10.0.0.2')
    after = b.run('/bin/ip -o addr show eth0')
    for address in '10.0.0.2/24', 'fd00::2/64':
        check(address in before and address in after,
              'eth0 had: %s; it has: %s' % (before, after))
    lab.dom0('rm /run/b.save')
    check(not lab.counters()['zombies'], 'there is a zombie')
    return {'saved_ms': saved}
