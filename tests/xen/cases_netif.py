# SPDX-License-Identifier: Apache-2.0
"""Cases: guests with a stock netfront, and nothing of ours."""

from case import case, check
from domains import mbit


def vif(number, words='', bridge='br0'):
    """Returns the line of xl's configuration that gives guest 'number' a vif
    of DomS."""
    return ('vif=["mac=00:16:3e:00:01:%02x,bridge=%s,backend=doms%s"]'
            % (number, bridge, words))


def stock(lab, names, kinds, vcpus=1, words=''):
    """Makes guests of the letters 'names', each of its kind in the list
    'kinds', without our driver.  The first has 10.0.0.1/24 and fd00::1/64, and
    so on.  Returns them."""
    guests = [lab.create(name, kind, vcpus=vcpus, config=[vif(number, words)])
              for number, (name, kind) in enumerate(zip(names, kinds), 1)]
    for number, guest in enumerate(guests, 1):
        guest.wait_up()
        guest.run('rmmod doms_front')
        guest.address('10.0.0.%d/24' % number, 'fd00::%d/64' % number)
    return guests


@case
def netif(lab):
    """A PVH and a PV guest with Debian's kernel and its own netfront: ping,
    IPv6, TCP both ways, TSO on and off."""
    lab.start_doms(watchdog=False)
    a, b = stock(lab, 'ab', ['pvh', 'pv'])
    result = {}
    for name, target in ('', '10.0.0.2'), ('6', 'fd00::2'):
        a.reach(target)
        ping = a.ping(target)
        check(ping['received'] == ping['sent'],
              'ping %s lost packets: %s' % (target, ping))
        result['rtt%s_us' % name] = ping['rtt_us']
    b.serve()
    for name, options in ('', ''), ('_back', '-R'), ('_ipv6', '-6'):
        target = 'fd00::2' if options == '-6' else '10.0.0.2'
        result['mbit' + name] = mbit(a.iperf(target, 3, options))
    for guest in a, b:
        guest.run('ethtool -K eth0 tso off')
    result['mbit_no_tso'] = mbit(a.iperf('10.0.0.2', 3))
    return result
