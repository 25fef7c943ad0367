# SPDX-License-Identifier: Apache-2.0
"""Cases of DomS's image: its card, its disk, its init."""

import time

from case import case, find
from domains import mbit
from lab import OUTSIDE
from util import LabError, wait_for


def guest_at(lab, name, kind, address, *words, **kwargs):
    """Makes guest 'name' of 'kind', gives it a port with 'words', and an
    'address' each, as 10.0.0.1/24.  Returns it."""
    lab.attach(name, *words)
    guest = lab.create(name, kind, **kwargs)
    guest.wait_up()
    guest.address(address)
    return guest


def life_of(doms):
    """Returns a number that differs between two lives of domsd."""
    return doms.run('cat /run/openvswitch/domsd.pid').strip()


@case
def doms_uplink(lab):
    """A guest talks with a host outside through the card that DomS owns and
    Dom0 does not see, before and after DomS was rebooted."""
    doms = lab.start_doms(uplink=True)
    links = lab.dom0('ls /sys/class/net').split()
    if [link for link in links if link.startswith('e')]:
        raise LabError('Dom0 sees a card: %s' % links)
    guest = guest_at(lab, 'a', 'pvh', '198.51.100.11/24', memory=128)
    server = lab.start_outside('iperf3 -s')
    measured = {}
    for when in 'before', 'after':
        guest.reach(OUTSIDE[0])
        ping = guest.ping(OUTSIDE[0])
        if ping['received'] != ping['sent']:
            raise LabError('%s DomS was rebooted: %s' % (when, ping))
        measured['rtt_us_' + when] = ping['rtt_us']
        measured['mbit_out_' + when] = mbit(guest.iperf(OUTSIDE[0], 3))
        measured['mbit_in_' + when] = mbit(guest.iperf(OUTSIDE[0], 3, '-R'))
        if when == 'before':
            start = time.monotonic()
            lab.dom0('xl destroy doms')
            doms = lab.wait_doms(other_than=doms.domid)
            measured['reboot_s'] = round(time.monotonic() - start, 1)
    server.terminate()
    return measured


@case
def doms_disk(lab):
    """What ovs-vsctl has set outlives DomS, if DomS has a disk."""
    doms = lab.start_doms(watchdog=False, disk=True)
    doms.vsctl('add-br br7 -- set Bridge br7 datapath_type=netdev '
               'other_config:mark=kept')
    doms.run('sync')
    doms.destroy()
    start = time.monotonic()
    doms = lab.start_doms(watchdog=False, disk=True)
    seconds = round(time.monotonic() - start, 1)
    if 'kept' not in doms.vsctl('get Bridge br7 other_config:mark'):
        raise LabError('the database has forgotten')
    doms.destroy()
    doms = lab.start_doms(watchdog=False,
                          words='doms.bridge=ovsbr doms.pmd-maxsleep=7')
    if doms.vsctl('list-br').split() != ['ovsbr']:
        raise LabError('doms.bridge: %s' % doms.vsctl('list-br'))
    if '7' not in doms.vsctl('get Open_vSwitch . other_config:pmd-maxsleep'):
        raise LabError('doms.pmd-maxsleep has no effect')
    return {'boot_s_with_disk': seconds}


@case
def doms_init(lab):
    """DomS's init starts domsd again within a second, and ovsdb-server; a
    panic ends the domain."""
    doms = lab.start_doms(watchdog=False)
    lab.attach('a', '--no-wait')
    doms.run('until ovs-vsctl list-ports br0 | grep a; do usleep 50000; done')
    measured = {}
    old = life_of(doms)
    output = doms.run(
        'start=$(cut -d" " -f1 /proc/uptime); kill -9 %s; '
        'until pid=$(cat /run/openvswitch/domsd.pid) && [ $pid != %s ] && '
        'ovs-appctl -t /run/openvswitch/domsd.$pid.ctl doms/show a; '
        'do usleep 10000; done 2>/dev/null; '
        'echo "start=$start end=$(cut -d" " -f1 /proc/uptime)"' % (old, old))
    measured['domsd_s'] = round(float(find(r'end=([\d.]+)', output)) -
                                float(find(r'start=([\d.]+)', output)), 2)
    doms.run('kill -9 $(cat /run/openvswitch/ovsdb-server.pid); '
             'until ovs-vsctl -t 5 show; do usleep 50000; done')
    wait_for('the console to tell of the death of domsd',
             lambda: 'domsd has ended (signal 9)' in open(doms.log).read())
    start = time.monotonic()
    doms.crash()
    measured['panic_s'] = round(time.monotonic() - start, 1)
    return measured
