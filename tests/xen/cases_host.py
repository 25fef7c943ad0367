# SPDX-License-Identifier: Apache-2.0
"""Cases: the lab itself, without anything of DomS.

A case is a function of a booted Lab, marked with @case.  It returns what it
measured, in the order in which that is printed, and raises LabError when what
it shows does not hold.  What it leaves behind in Dom0 or on Xen the runner
clears: every guest is destroyed after each case.
"""

import time

from case import case, find
from util import LabError, PATIENCE


def bridge(lab):
    """Makes bridge xenbr0 in Dom0, unless there is one."""
    lab.dom0('[ -e /sys/class/net/xenbr0 ] || ip link add xenbr0 type bridge;'
             'ip link set xenbr0 up')


def create_up(lab, *args, **kwargs):
    """Makes a guest as Lab.create() does, and waits until it is up.  Returns
    it, and the seconds that took."""
    start = time.monotonic()
    guest = lab.create(*args, **kwargs)
    guest.wait_up()
    return guest, round(time.monotonic() - start, 1)


@case
def boot(lab):
    """Dom0 is up on Xen 4.17 and can make PV and PVH guests."""
    info = lab.dom0('xl info')
    version = find(r'xen_version +: (\S+)', info)
    if not version.startswith('4.17'):
        raise LabError('this is Xen %s, not 4.17' % version)
    for word in 'pv', 'hvm', 'hap':
        find(r'virt_caps +:.*\b(%s)\b' % word, info)
    return {'boot_s': round(lab.boot_seconds, 1), 'xen': version}


@case
def guests(lab):
    """A PVH and a PV guest boot, and ping each other through netback."""
    bridge(lab)
    measured = {}
    made = {}
    for number, kind in enumerate(['pvh', 'pv'], 1):
        vif = 'vif=["mac=00:16:3e:00:00:%02x,bridge=xenbr0"]' % number
        guest, seconds = create_up(lab, kind, kind, config=[vif])
        guest.run('ip link set eth0 up && ip addr add 10.9.0.%d/24 dev eth0'
                  % number)
        made[kind] = guest
        measured[kind + '_s'] = seconds
    for source, target in ('pvh', 2), ('pv', 1):
        # The first replies may be late: the bridge learns, ARP asks.
        made[source].run('ping -c 1 -W 1 -w %d 10.9.0.%d'
                         % (PATIENCE // 2, target))
        output = made[source].run('ping -q -c 10 -i 0.2 -W 5 10.9.0.%d'
                                  % target)
        if ' 0% packet loss' not in output:
            raise LabError('%s loses packets: %s' % (source, output))
        measured['rtt_us_from_' + source] = round(
            1000 * float(find(r'= [\d.]+/([\d.]+)/', output)))
    return measured


@case
def grants(lab):
    """A page granted by one unprivileged guest is mapped by another, in each
    pair of PVH and PV; a third guest may not map it."""
    made = {}
    for name, kind in ('a', 'pvh'), ('b', 'pvh'), ('c', 'pv'), ('d', 'pv'):
        made[name] = lab.create(name, kind, memory=128)
    for guest in made.values():
        guest.wait_up()
    pairs = 0
    for owner, peer in 'ab', 'ac', 'ca', 'cd':
        share_page(made[owner], made[peer],
                   made['d' if 'b' in (owner, peer) else 'b'])
        pairs += 1
    return {'pairs': pairs}


def share_page(owner, peer, other):
    """Shares a page between 'owner' and 'peer', and has 'other' try to map it
    first."""
    owner.run('grants share %d >/run/share 2>&1 & echo $! >/run/share.pid'
              % peer.domid)
    # The program prints the reference once the page is granted.
    ref = int(find(r'ref=(\d+)', owner.run(
        'until grep "ref=" /run/share; do '
        'kill -0 $(cat /run/share.pid) || { cat /run/share; exit 1; }; '
        'usleep 20000; done')))
    status, output = other.run('grants map %d %d' % (owner.domid, ref),
                               check=False)
    if status == 0 or 'cannot map' not in output:
        raise LabError('guest %s, which is no peer, could map a page of %s: %s'
                       % (other.name, owner.name, output))
    peer.run('grants map %d %d' % (owner.domid, ref))
    owner.run('until grep answer=ok /run/share; do '
              'kill -0 $(cat /run/share.pid) || { grep answer=ok /run/share; '
              'exit; }; usleep 20000; done')
