# SPDX-License-Identifier: Apache-2.0
"""The switches that join network devices of the kernel, each guest a network
namespace: with the kernel's bridge, with Open vSwitch by taps or by AF_XDP, and
with DomS by doms-tap.  Here whole TCP/IP stacks are measured, too."""

import os

from . import stacks
from .ovs import Ovs
from .processes import check_alive, run, wait_for
from .stacks import ADDRESS
from .switches import GUEST_CPU, SWITCH_CPU, TOP, OpenFlowSwitch, Switch

MTU, JUMBO_MTU = 1500, 9100


class KernelSwitch(Switch):
    """A switch of devices.  Guest 'a' has the device self.device('a') in the
    namespace self.netns['a'], and likewise 'b'."""

    guests = ('built',)
    raw_cases = ()
    window = 256  # Frames under way that no queue on the way is too short for.

    def __init__(self, settings):
        super().__init__(settings)
        self.cases = self.raw_cases + stacks.CASES
        self.netns = {}

    def can(self, case, size, guest):
        if case in stacks.CASES:
            return size == 0 and guest == 'built'
        return super().can(case, size, guest)

    def start(self):
        for port in 'ab':
            self.netns[port] = self.settings.world.make_netns(
                'bench-%s-%s' % (self.name, port))
        self.make()
        for port in 'ab':
            self.ip(port, 'ip', 'addr', 'add', ADDRESS[port] + '/24', 'dev',
                    self.device(port))
            self.ip(port, 'ip', 'link', 'set', 'dev', self.device(port), 'up')
        self.mtu = MTU

    def make(self):
        """Makes the switch and the devices."""
        raise NotImplementedError

    def device(self, port):
        return port

    def ip(self, port, *command):
        """Runs a command in a guest's namespace."""
        return run(*command, netns=self.netns[port])

    def set_mtu(self, mtu):
        for port in 'ab':
            self.ip(port, 'ip', 'link', 'set', 'dev', self.device(port), 'mtu',
                    str(mtu))

    def prepare(self, case, size, guest):
        mtu = MTU if size <= 1500 else JUMBO_MTU
        if mtu != self.mtu:
            self.set_mtu(mtu)
            self.mtu = mtu

    def measure(self, case, size, guest, seconds):
        if case in stacks.CASES:
            return stacks.measure(self, case, seconds)
        return super().measure(case, size, guest, seconds)

    def generate(self, words):
        return run(self.settings.program('guest-packet'),
                   '-a', '%s/%s' % (self.netns['a'], self.device('a')),
                   '-b', '%s/%s' % (self.netns['b'], self.device('b')),
                   '-w', str(self.window), '-n', '5000', *words)

    def helpers(self):
        """Returns the processes that guests need for their devices, by
        name."""
        return {}


class LinuxBridge(KernelSwitch):
    """The kernel's bridge between pairs of veth.  What a guest sends is
    switched by the CPU that takes its frames: here, SWITCH_CPU."""

    name = 'linux-bridge'
    title = 'Linux bridge, veth'
    raw_cases = ('normal',)

    def make(self):
        self.home = self.settings.world.make_netns('bench-' + self.name)
        run('ip', 'link', 'add', 'br0', 'type', 'bridge', netns=self.home)
        for port in 'ab':
            run('ip', 'link', 'add', 'name', port, 'type', 'veth', 'peer', 'name',
                port, 'netns', self.netns[port], netns=self.home)
            run('ip', 'link', 'set', 'dev', port, 'master', 'br0', 'up',
                netns=self.home)
        run('ip', 'link', 'set', 'br0', 'up', netns=self.home)

    def set_mtu(self, mtu):
        super().set_mtu(mtu)
        for port in 'ab':
            run('ip', 'link', 'set', 'dev', port, 'mtu', str(mtu), netns=self.home)


class OvsKernelSwitch(KernelSwitch, OpenFlowSwitch):
    """Debian's Open vSwitch, with its datapath in user space."""

    raw_cases = ('in_port', 'normal')
    settings_of_ovs = {}

    def start(self):
        self.ovs = Ovs(self.settings.world, self.settings.build, self.name,
                       self.settings_of_ovs)
        self.start_daemon()
        KernelSwitch.start(self)

    def start_daemon(self):
        self.ovs.start_vswitchd(os.path.join(
            self.settings.build,
            'debian-ovs/usr/lib/openvswitch-switch/ovs-vswitchd'),
            cpu=SWITCH_CPU)

    def prepare(self, case, size, guest):
        KernelSwitch.prepare(self, case, size, guest)
        self.ovs.load('normal' if case in stacks.CASES else case)


class OvsTap(OvsKernelSwitch):
    name = 'ovs-tap'
    title = 'OVS userspace, tap'

    def make(self):
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port, 'type=internal',
             'mtu_request=%d' % JUMBO_MTU] for port in 'ab'])
        for port in 'ab':
            run('ip', 'link', 'set', 'dev', port, 'netns', self.netns[port], 'mtu',
                str(MTU), netns=self.ovs.netns)


class OvsTapTso(OvsTap):
    name = 'ovs-tap-tso'
    title = 'OVS userspace, tap, TSO'
    raw_cases = ()
    settings_of_ovs = {'userspace-tso-enable': 'true'}


class OvsAfxdp(OvsKernelSwitch):
    name = 'ovs-afxdp'
    title = 'OVS userspace, AF_XDP'
    # A frame of AF_XDP is at most a page.
    sizes = (64, 512, 1500)
    settings_of_ovs = {'pmd-cpu-mask': '0x%x' % (1 << SWITCH_CPU)}

    def make(self):
        for port in 'ab':
            run('ip', 'link', 'add', 'name', port, 'type', 'veth', 'peer', 'name',
                port, 'netns', self.netns[port], netns=self.ovs.netns)
            run('ip', 'link', 'set', 'dev', port, 'up', netns=self.ovs.netns)
            # AF_XDP does not know of checksums that are still to be made.
            self.ip(port, 'ethtool', '-K', port, 'tx', 'off')
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port, 'type=afxdp',
             'options:n_rxq=1'] for port in 'ab'])

    def start_daemon(self):
        self.ovs.start_vswitchd(os.path.join(
            self.settings.build,
            'debian-ovs/usr/lib/openvswitch-switch/ovs-vswitchd'))


class DomsTap(OvsKernelSwitch):
    """DomS, with a doms-tap for each guest."""

    name = 'doms-tap'
    title = 'DomS, doms-tap'
    raw_cases = ()
    settings_of_ovs = {'pmd-cpu-mask': '0x%x' % (1 << SWITCH_CPU),
                       'doms-pmd-yield': 'true',
                       'userspace-tso-enable': 'true'}

    def start_daemon(self):
        self.ovs.start_domsd(os.path.join(TOP, 'tools/doms-local'))

    def make(self):
        self.taps = {}
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port, 'type=doms']
            for port in 'ab'])
        for port in 'ab':
            self.taps['tap-' + port] = self.settings.world.start(
                'doms-tap-' + port,
                os.path.join(self.settings.build, 'release/bin/doms-tap'),
                '--yield', '--name', port, '--tap', port,
                '--netns', self.netns[port],
                '--socket', os.path.join(self.ovs.rundir, 'doms.sock'))
        for port in 'ab':
            wait_for('the device of doms-tap', lambda port=port: check_alive(
                self.taps['tap-' + port]) or run(
                    'ip', 'link', 'show', 'dev', port, netns=self.netns[port],
                    check=False))

    def helpers(self):
        return {name: tap.pid for name, tap in self.taps.items()}
