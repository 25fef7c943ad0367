# SPDX-License-Identifier: Apache-2.0
"""Cases: guests with a stock netfront, and nothing of ours."""

import re

from case import case, check, find
from domains import mbit
from util import PATIENCE, wait_for


def vif(number, words='', bridge='br0'):
    """Returns the line of xl's configuration that gives guest 'number' a vif
    of DomS."""
    return ('vif=["mac=00:16:3e:00:01:%02x,bridge=%s,backend=doms%s"]'
            % (number, bridge, words))


def stock(lab, names, kinds, vcpus=1, words='', first=1, bridge='br0'):
    """Makes guests of the letters 'names', each of its kind in the list
    'kinds', without our driver.  They are numbered from 'first' on; number 1
    has 10.0.0.1/24 and fd00::1/64.  Returns them."""
    guests = [lab.create(name, kind, vcpus=vcpus,
                         config=[vif(number, words, bridge)])
              for number, (name, kind) in enumerate(zip(names, kinds), first)]
    for number, guest in enumerate(guests, first):
        guest.wait_up()
        guest.run('rmmod doms_front')
        guest.address('10.0.0.%d/24' % number, 'fd00::%d/64' % number)
    return guests


def port_of(guest, handle=0):
    """Returns the name of the port of a vif of 'guest'."""
    return 'vif%d.%d' % (guest.domid, handle)


def speeds(a, target, options=''):
    """Returns the megabits a second from 'a' to 'target' and back."""
    return (mbit(a.iperf(target, 2, options)),
            mbit(a.iperf(target, 2, '-R ' + options)))


def lossless(guest, target, **kwargs):
    """Pings 'target' from 'guest'.  Returns the mean round trip in us."""
    ping = guest.ping(target, **kwargs)
    check(ping['received'] == ping['sent'],
          'ping %s lost packets: %s' % (target, ping))
    return ping['rtt_us']


def with_polling(lab, doms, a):
    """Has the stock guest 'a' talk to one that polls.  Returns what was
    measured."""
    c = lab.create('c', 'pv')
    c.wait_up()
    lab.attach('c')
    c.address('10.0.0.3/24', 'fd00::3/64')
    a.reach('10.0.0.3')
    result = {'rtt_polling_us': lossless(a, '10.0.0.3')}
    c.serve()
    result['mbit_polling'], result['mbit_polling_back'] = speeds(a, '10.0.0.3')
    for guest in a, c:
        guest.run('ethtool -K eth0 tso off')
    (result['mbit_polling_no_tso'],
     result['mbit_polling_no_tso_back']) = speeds(a, '10.0.0.3')
    for port in port_of(a), 'c':
        doms.vsctl('set Interface %s mtu_request=9000' % port)
    a.run('/bin/ip link set eth0 mtu 9000')
    c.run('/bin/ip link set eth0 mtu 9000')
    lossless(a, '10.0.0.3', count=3, size=8972, options='-M do')
    return result


def check_mapped(lab, guests):
    """Checks that DomS has mapped no page of 'guests', of one vCPU each, but
    their rings.  Returns how many pages of each are mapped."""
    mapped = lab.grants()
    result = {}
    for guest in guests:
        # Xen's console and xenstore pages of a guest are Dom0's to map.
        n = mapped[guest.domid]
        check(2 <= n <= 4, '%d pages of %s are mapped, its rings are 2'
              % (n, guest.name))
        result['mapped_' + guest.name] = n
    return result


def check_ports(doms, guests):
    """Checks that the ports of 'guests' are well and have refused nothing."""
    for guest in guests:
        port = doms.ports()[port_of(guest)]
        check(port['door'] == 'netif' and port['state'] == 'up',
              'the port of %s: %s' % (guest.name, port))
        for counter in ('rx_bad_grants', 'tx_bad_grants', 'rx_bad_offload',
                        'rx_oversize', 'rx_bad_records'):
            check(port['counters'][counter] == 0, '%s of %s: %s'
                  % (counter, guest.name, port['counters']))


@case
def netif(lab):
    """A PVH and a PV guest with Debian's kernel and its own netfront, on a PVH
    DomS: ping, IPv6, TCP both ways, TSO on and off; and with a guest that
    polls, with 9000 bytes, too."""
    doms = lab.start_doms(kind='pvh', watchdog=False)
    a, b = stock(lab, 'ab', ['pvh', 'pv'])
    result = {}
    for name, target in ('', '10.0.0.2'), ('6', 'fd00::2'):
        a.reach(target)
        result['rtt%s_us' % name] = lossless(a, target)
    b.serve()
    job = a.start_iperf('10.0.0.2', 5)
    result.update(check_mapped(lab, (a, b)))
    a.finish_iperf(job)
    result['mbit'], result['mbit_back'] = speeds(a, '10.0.0.2')
    result['mbit_ipv6'], result['mbit_ipv6_back'] = speeds(a, 'fd00::2')
    for guest in a, b:
        guest.run('ethtool -K eth0 tso off')
    result['mbit_no_tso'], result['mbit_no_tso_back'] = speeds(a, '10.0.0.2')
    a.run('ethtool -K eth0 tso on')
    result.update(with_polling(lab, doms, a))
    check_ports(doms, (a, b))
    return result


@case
def netif_queues(lab):
    """A stock guest with two vCPUs has two queues, and both carry traffic;
    what xl was told of VLAN and rate is heeded."""
    doms = lab.start_doms(watchdog=False, vcpus=2)
    a, b = stock(lab, 'ab', ['pv', 'pv'], vcpus=2, words=',rate=800Mb/s',
                 bridge='br0.7')
    rate, tag = doms.vsctl('get Interface %s ingress_policing_rate -- '
                           'get Port %s tag'
                           % (port_of(a), port_of(a))).split()
    check((rate, tag) == ('800000', '7'), 'rate %s, tag %s' % (rate, tag))
    a.reach('10.0.0.2')
    port = doms.ports()[port_of(a)]
    check(port['queues']['channel'] == 2, 'not two queues: %s' % port)
    # One thread that polls would send by one queue.
    for guest in a, b:
        doms.vsctl('set Interface %s other_config:tx-steering=hash'
                   % port_of(guest))
    b.serve()
    result = {'mbit': mbit(a.iperf('10.0.0.2', 4, '-P 8'))}
    for guest in a, b:
        lines = guest.run('grep -E "q[01]-[rt]x" '
                          '/proc/interrupts').splitlines()
        counts = [sum(map(int, re.findall(r' (\d+)(?= )', line)))
                  for line in lines]
        check(len(counts) == 4 and min(counts) > 0,
              'not two queues of two event channels: %s' % lines)
        result['events_' + guest.name] = '/'.join(map(str, counts))
    check_ports(doms, (a, b))
    return result


def detach(lab, doms, guest):
    """Takes the vif of 'guest' away, as an operator does."""
    lab.dom0('xl network-detach %s 0' % guest.name)
    check(port_of(guest) not in doms.ports(), 'DomS still has the port')
    wait_for('eth0 to go', lambda: guest.run(
        '[ -e /sys/class/net/eth0 ]', check=False)[0])


def attach(lab, guest, number, address):
    """Gives 'guest' its vif again, as an operator does."""
    words = find(r'"(.*)"', vif(number)).replace(',', ' ')
    lab.dom0('xl network-attach %s %s' % (guest.name, words))
    guest.address(address)


@case
def netif_reattach(lab):
    """A stock guest's vif is taken away and given again, domsd is killed, the
    guest is destroyed, saved and restored, and rebooted, DomS is destroyed: it
    finds the switch again, and nothing is left over."""
    doms = lab.start_doms()
    lab.dom0('printf "stable_s=1\nrestart_limit=0\n" >>/etc/doms/doms.conf')
    a, b = stock(lab, 'ab', ['pv', 'pv'])
    a.reach('10.0.0.2')
    before = lab.counters()
    for _ in range(3):
        detach(lab, doms, b)
        attach(lab, b, 2, '10.0.0.2/24')
        a.reach('10.0.0.2')
    after = lab.counters()
    for key in 'nodes', 'grants':
        check(after[key] <= before[key], '%s: %s before, %s after'
              % (key, before[key], after[key]))

    link = a.run('/bin/ip -o link show eth0')
    doms.kill_domsd()
    a.reach('10.0.0.2')
    check(a.run('/bin/ip -o link show eth0') == link,
          'eth0 of a is not what it was')

    b.destroy()
    check(not lab.counters()['zombies'], 'there is a zombie')
    wait_for('the port to go', lambda: port_of(b) not in doms.ports())
    b, = stock(lab, 'b', ['pv'], first=2)
    a.reach('10.0.0.2')

    lab.dom0('xl save b /run/b.save', 2 * PATIENCE)
    lab.wait_gone(b.domid)
    lab.restore(b, '/run/b.save')
    a.reach('10.0.0.2')
    lab.dom0('rm /run/b.save')

    b.reboot()
    b.address('10.0.0.2/24')
    a.reach('10.0.0.2')
    check(not lab.counters()['zombies'], 'there is a zombie')
    lab.dom0('xl destroy doms')
    doms = lab.wait_doms(other_than=doms.domid)
    for number, guest in enumerate((a, b), 1):
        wait_for('the vif of %s to be there again' % guest.name,
                 lambda: doms.ports().get(port_of(guest), {}).get('state')
                 == 'up')
        guest.address('10.0.0.%d/24' % number)
    a.reach('10.0.0.2')
    detach(lab, doms, b)
    check(not lab.counters()['zombies'], 'there is a zombie')
    return {'nodes': after['nodes'], 'grants': after['grants']}


# What each attack of bad-netfront comes to, and the counter of the port that
# tells of it.
ATTACKS = (
    ('far', 'closed', None),
    ('backwards', 'closed', None),
    ('not-whole', 'closed', None),
    ('many', 'closed', None),
    ('beyond', 'closed', None),
    ('unknown-extra', 'closed', None),
    ('unknown-gso', 'closed', None),
    ('race', 'closed', None),
    ('rx-far', 'closed', None),
    ('rx-no-grant', 'answered -1', 'tx_bad_grants'),
    ('no-grant', 'answered -1', 'rx_bad_grants'),
    ('runt', 'answered -1', 'rx_bad_offload'),
    ('false-gso', 'answered 0', 'rx_bad_offload'),
)


@case
def netif_hostile(lab):
    """A program in place of a netfront breaks each rule of the rings in turn,
    and rewrites requests while DomS reads them: its vif is closed, or the
    frame dropped, and neither DomS nor another guest notices."""
    doms = lab.start_doms(watchdog=False)
    a, b = stock(lab, 'ab', ['pv', 'pv'])
    a.reach('10.0.0.2')
    before = lab.counters()
    epoch = doms.ports()[port_of(a)]['epoch']
    b.run('echo vif-0 >/sys/bus/xen/drivers/vif/unbind')
    # Asks all guests who has an address that none has.
    a.start('ping -i 0.2 -c 10000 10.0.0.99')
    for attack, outcome, counter in ATTACKS:
        old = doms.ports()[port_of(b)]
        said = b.run('bad-netfront ' + attack).strip()
        check(said == outcome, '%s: %s, not %s' % (attack, said, outcome))
        new = doms.ports()[port_of(b)]
        if outcome == 'closed':
            check(new['state'] == 'broken' and new['reason'],
                  '%s: the port is %s' % (attack, new))
        else:
            check(new['counters'][counter] == old['counters'][counter] + 1,
                  '%s: %s was %s, is %s' % (attack, counter, old, new))
    a_port = doms.ports()[port_of(a)]
    check(a_port['epoch'] == epoch and a_port['connects'] == 1,
          'DomS, or the port of another, did not survive: %s' % a_port)
    b.run('echo vif-0 >/sys/bus/xen/drivers/vif/bind')
    b.address('10.0.0.2/24')
    a.reach('10.0.0.2')
    after = lab.counters()
    check(after['grants'] <= before['grants'] and not after['zombies'],
          'before: %s, after: %s' % (before, after))
    return {'attacks': len(ATTACKS)}
