# SPDX-License-Identifier: Apache-2.0
"""Cases: what guests can do through DomS."""

from case import case, check, joined
from domains import mbit
from traffic import Transfer
from util import wait_for


def talk(lab, kind):
    """Has two guests of 'kind' do all that guests do with a network."""
    doms, (a, b) = joined(lab, kind, 'ab', 'mtu=9000', calm=False)
    result = {}

    for name, target in ('', '10.0.0.2'), ('6', 'fd00::2'):
        a.reach(target)
        ping = a.ping(target)
        check(ping['received'] == ping['sent'],
              'ping %s lost packets: %s' % (target, ping))
        result['rtt%s_us' % name] = ping['rtt_us']
    big = a.ping('10.0.0.2', count=3, size=8972, options='-M do')
    check(big['received'] == 3, 'frames of 9000 bytes are lost: %s' % big)

    b.serve()
    for name, options in ('', ''), ('_back', '-R'), ('_ipv6', '-6'):
        target = 'fd00::2' if options == '-6' else '10.0.0.2'
        result['mbit' + name] = mbit(a.iperf(target, 2, options))
    for guest in a, b:
        guest.run('ethtool -K eth0 tso off')
    result['mbit_no_tso'] = mbit(a.iperf('10.0.0.2', 2))
    for guest in a, b:
        guest.run('ethtool -K eth0 tso on')
    segments = int(a.run('cat /sys/class/net/eth0/statistics/tx_packets'))
    result['mbit_tso'] = mbit(a.iperf('10.0.0.2', 2))
    check(segments > 0, 'nothing was sent by eth0')

    vlan(a, b)
    rule(doms, a)
    return result


def vlan(a, b):
    """A VLAN that the guests make passes the switch."""
    for number, guest in enumerate((a, b), 1):
        guest.run('modprobe 8021q && /bin/ip link add link eth0 name eth0.5 type '
                  'vlan id 5')
        guest.address('10.0.5.%d/24' % number, dev='eth0.5')
    a.reach('10.0.5.2')


def rule(doms, a):
    """A rule added by ovs-ofctl is heeded."""
    doms.run('ovs-ofctl add-flow br0 priority=99,icmp,actions=drop')
    wait_for('the rule to drop pings',
             lambda: a.ping('10.0.0.2', 1)['received'] == 0)
    check('n_packets=0,' not in doms.run('ovs-ofctl dump-flows br0 icmp'),
          'pings are gone, but the rule has dropped none')
    doms.run('ovs-ofctl --strict del-flows br0 priority=99,icmp')
    a.reach('10.0.0.2')


@case
def network_pvh(lab):
    """Two PVH guests on a PVH DomS: ping, IPv6, 9000 bytes, TCP both ways, TSO
    on and off, a VLAN, a rule of ovs-ofctl."""
    return talk(lab, 'pvh')


@case
def network_pv(lab):
    """The same of two PV guests on a PV DomS."""
    return talk(lab, 'pv')


@case
def many(lab):
    """Eight guests are on at once, and all transfer at once."""
    doms, guests = joined(lab, 'pv', 'abcdefgh', memory=128)
    for guest in guests:
        guest.serve()
    jobs = [guest.start_iperf('10.0.0.%d' % (number % 8 + 1), 4)
            for number, guest in enumerate(guests, 1)]
    results = [guest.finish_iperf(job, 180)
               for guest, job in zip(guests, jobs)]
    moved = [result['end']['sum_received']['bytes'] for result in results]
    check(min(moved) > 0, 'bytes that got through: %s' % moved)
    states = {port['state'] for port in doms.ports().values()}
    check(states == {'up'}, 'not every port is up: %s' % states)
    return {'guests': len(guests), 'kbyte_all': sum(moved) // 1000,
            'kbyte_least': min(moved) // 1000}


@case
def queues(lab):
    """A port of two queues: both carry traffic, both ways."""
    doms, (a, b) = joined(lab, 'pv', 'ab', 'queues=2', vcpus=2)
    text = a.run('ethtool -l eth0')
    check(text.count('Combined:\t2') == 2, 'not two queues: %s' % text)
    b.serve()
    # One thread that polls would send by one queue.
    for port in 'ab':
        doms.vsctl('set Interface %s other_config:tx-steering=hash' % port)
    result = {'mbit': mbit(a.iperf('10.0.0.2', 4, '-P 8'))}

    def moved(guest, way, queue):
        text = guest.run('ethtool -S eth0')
        key = '%s_queue_%d_packets:' % (way, queue)
        return int(text.split(key)[1].split()[0])
    for guest, way in (a, 'tx'), (b, 'rx'):
        for queue in 0, 1:
            n = moved(guest, way, queue)
            check(n > 0, 'queue %d of %s carried nothing' % (queue,
                                                             guest.name))
            result['%s_%s%d' % (guest.name, way, queue)] = n
    check(doms.ports()['a']['queues']['channel'] == 2,
          'the channel has not two queues')
    return result


@case
def order_of_start(lab):
    """Ports are described before DomS and the guests run; each comes up
    whatever starts first, and a driver that is loaded again finds its port."""
    for name in 'ab':
        text = lab.attach(name)
        check('not running' in text, 'doms-ctl does not say that %s does not '
              'run: %s' % (name, text))
    a = lab.create('a', 'pv')
    a.wait_up()
    doms = lab.start_doms()
    b = lab.create('b', 'pv')
    b.wait_up()
    for number, guest in enumerate((a, b), 1):
        guest.address('10.0.0.%d/24' % number)
    a.reach('10.0.0.2')
    with Transfer(a, b, '10.0.0.2') as transfer:
        a.run('rmmod doms_front')
        transfer.stop()
    wait_for('port a to wait', lambda: doms.ports()['a']['state'] == 'waiting')
    a.run('modprobe doms_front')
    a.address('10.0.0.1/24')
    a.reach('10.0.0.2')
    lab.detach('a')
    wait_for('eth0 of a to go',
             lambda: a.run('[ -e /sys/class/net/eth0 ]', check=False)[0])
    check('a' not in doms.ports(), 'DomS still has port a')
    lab.attach('a')
    a.address('10.0.0.1/24')
    a.reach('10.0.0.2')
    return {}
