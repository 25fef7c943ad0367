# SPDX-License-Identifier: Apache-2.0
"""The switches that join network devices of the kernel, each guest a network
namespace: with the kernel's bridge, with Open vSwitch by taps or by AF_XDP, and
with DomS by doms-tap.  Here whole TCP/IP stacks are measured, too."""

import json
import os

from . import flows, machine
from .ovs import Ovs
from .processes import check_alive, end, run, wait_for
from .switches import (GUEST_CPU, SWITCH_CPU, TOP, OpenFlowSwitch, Switch,
                       parse)

ADDRESS = {'a': '10.9.0.1', 'b': '10.9.0.2'}
MTU, JUMBO_MTU = 1500, 9100
STACK_CASES = ('tcp', 'udp', 'rr')
IPERF_PORT = 5201
UDP_BYTES = 1400  # Of a datagram.


class KernelSwitch(Switch):
    """A switch of devices.  Guest 'a' has the device self.device('a') in the
    namespace self.netns['a'], and likewise 'b'."""

    guests = ('built',)
    raw_cases = ()
    window = 256  # Frames under way that no queue on the way is too short for.

    def __init__(self, settings):
        super().__init__(settings)
        self.cases = self.raw_cases + STACK_CASES
        self.netns = {}

    def can(self, case, size, guest):
        if case in STACK_CASES:
            return size == 0 and guest == 'built'
        return super().can(case, size, guest)

    def start(self):
        for port in 'ab':
            self.netns[port] = self.settings.world.make_netns(
                'bench-%s-%s' % (self.name, port))
            # No frames but ours.
            self.ip(port, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1',
                    'net.ipv6.conf.default.disable_ipv6=1')
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

    def prepare(self, case, size):
        mtu = MTU if size <= 1500 else JUMBO_MTU
        if mtu != self.mtu:
            self.set_mtu(mtu)
            self.mtu = mtu

    def measure(self, words):
        return parse(run(
            self.settings.program('guest-packet'),
            '-a', '%s/%s' % (self.netns['a'], self.device('a')),
            '-b', '%s/%s' % (self.netns['b'], self.device('b')),
            '-w', str(self.window), '-n', '5000', *words))

    # Whole stacks.

    def helpers(self):
        """Returns the processes that a guest needs for its device, by name."""
        return {}

    def measure_stack(self, case, seconds):
        """Measures one of STACK_CASES.  Returns what was measured."""
        self.prepare(case, 0)
        wait_for('%s: a way from A to B' % self.name,
                 lambda: self.reaches('b'))
        if case == 'rr':
            return parse(run(
                self.settings.program('request-response'), '-k', 'rr',
                '-a', self.netns['a'], '-b', self.netns['b'],
                '-i', ADDRESS['b'], '-t', str(seconds),
                '-c', str(GUEST_CPU), '-C', str(SWITCH_CPU)))
        return self.iperf(case, seconds)

    def reaches(self, port):
        other = 'a' if port == 'b' else 'b'
        return '1 received' in run('ping', '-c1', '-W1', ADDRESS[port],
                                   netns=self.netns[other], check=False)

    def placement(self):
        return parse(run(self.settings.program('bench-placement'),
                         str(GUEST_CPU), str(SWITCH_CPU)))

    def iperf(self, case, seconds):
        server = self.settings.world.start(
            'iperf3-' + self.name, 'iperf3', '-s', '-1', '-p',
            str(IPERF_PORT), netns=self.netns['b'], cpu=GUEST_CPU)
        listening = ':%04X ' % IPERF_PORT
        wait_for("iperf3's server", lambda: check_alive(server) or
                 listening in machine.read('/proc/%d/net/tcp6' % server.pid)
                 + machine.read('/proc/%d/net/tcp' % server.pid))
        words = ['-u', '-b', '0', '-l', str(UDP_BYTES)] if case == 'udp' \
            else []
        before = self.placement()
        used = {name: machine.cpu_ms(pid)
                for name, pid in self.cpu_users().items()}
        report = json.loads(run(
            'taskset', '-c', str(GUEST_CPU), 'iperf3', '-c', ADDRESS['b'],
            '-p', str(IPERF_PORT), '-t', str(seconds), '-J', *words,
            netns=self.netns['a']))
        used = {name: machine.cpu_ms(pid) - used[name]
                for name, pid in self.cpu_users().items()}
        after = self.placement()
        end(server)
        return self.iperf_result(case, report, used, before, after)

    def cpu_users(self):
        users = dict(self.helpers())
        for i, pid in enumerate(self.pids()):
            users['switch%d' % i if i else 'switch'] = pid
        return users

    @staticmethod
    def iperf_result(case, report, used, before, after):
        whole = report['end']
        if case == 'udp':
            sums = whole['sum']
            received = sums['bits_per_second'] * (
                1 - sums['lost_percent'] / 100)
        else:
            received = whole['sum_received']['bits_per_second']
        seconds = whole['sum']['seconds'] if case == 'udp' \
            else whole['sum_received']['seconds']
        cpu = {name: round(ms / seconds / 10, 1) for name, ms in used.items()}
        percent = whole['cpu_utilization_percent']
        cpu['client'] = round(percent['host_total'], 1)
        cpu['server'] = round(percent['remote_total'], 1)
        result = {'gbps': round(received / 1e9, 3), 'cpu_percent': cpu,
                  'line_ns': before['line_ns'],
                  'line_after_ns': after['line_ns'],
                  'placement': before['placement']
                  if before['placement'] == after['placement'] else 'moved'}
        if case == 'udp':
            result['lost_percent'] = round(whole['sum']['lost_percent'], 2)
        return result


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

    def prepare(self, case, size):
        KernelSwitch.prepare(self, case, size)
        self.ovs.load('normal' if case in STACK_CASES else case)


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
                '--name', port, '--tap', port, '--netns', self.netns[port],
                '--socket', os.path.join(self.ovs.rundir, 'doms.sock'),
                cpu=GUEST_CPU)
        for port in 'ab':
            wait_for('the device of doms-tap', lambda port=port: check_alive(
                self.taps['tap-' + port]) or run(
                    'ip', 'link', 'show', 'dev', port, netns=self.netns[port],
                    check=False))

    def helpers(self):
        return {name: tap.pid for name, tap in self.taps.items()}


__all__ = ['DomsTap', 'LinuxBridge', 'OvsAfxdp', 'OvsTap', 'OvsTapTso',
           'STACK_CASES', 'flows']
