# SPDX-License-Identifier: Apache-2.0
"""The switches that user space guests reach: ours, OVS-DPDK, and DPDK's plain
forwarders for vhost-user and memif."""

import contextlib
import os
import signal

from . import flows, machine
from .ovs import Ovs
from .processes import answer, ask, check_alive, run, wait_for

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
GUEST_CPU, SWITCH_CPU = 0, 1
HUGE_PAGES = 1536  # Of 2 MiB: what all of them together take at most.
# The longest payload for frames of up to 1500 bytes, also in a tunnel, and for
# larger ones.
MTU, JUMBO_MTU = 1600, 9100


class Settings:
    """What all switches are given."""

    def __init__(self, world, build, huge):
        self.world = world
        self.build = build
        self.huge = huge  # Folder of huge pages, or None.

    def program(self, name):
        return os.path.join(self.build, 'release/bench', name)

    def eal(self, name, megabytes, cpu):
        """Returns the arguments of DPDK's start for process 'name'."""
        words = ['-l', str(cpu), '--no-pci', '--file-prefix=' + name,
                 '--no-telemetry']
        if self.huge:
            return words + ['-m', str(megabytes), '--huge-dir', self.huge,
                            '--single-file-segments']
        return words + ['--no-huge', '--legacy-mem', '-m', str(megabytes)]


class Switch:
    """One switch; a subclass says how it is made and measured."""

    name = ''
    title = ''
    cases = ()          # That it can do.
    guests = ('built', 'copied')
    sizes = (64, 512, 1500, 9000)

    def __init__(self, settings):
        self.settings = settings
        self.mtu = None

    def can(self, case, size, guest):
        return (case in self.cases and size in self.sizes
                and guest in self.guests)

    def start(self):
        """Makes the switch."""

    def prepare(self, case, size, guest):
        """Makes it ready for a case, frames of 'size' bytes and a kind of
        guests."""

    def wake(self):
        """It is measured now."""

    def rest(self):
        """It is not measured now, and must use no CPU."""

    def pid(self):
        """Returns the process that switches, or None if it is the kernel."""
        return None

    def sharing_pid(self):
        """Returns another process that switches on the same CPU, or None."""
        return None

    def about(self):
        """Returns what a reader must know to set the switch up alike."""
        return {}

    def measure(self, case, size, guest, seconds):
        """Measures a case that can() admits of, after prepare() and wake().
        Returns the numbers as a dictionary."""
        words = ['-k', case, '-s', str(size), '-t', str(seconds),
                 '-f', str(flows.CASES[case][1]), '-c', str(GUEST_CPU),
                 '-C', str(SWITCH_CPU)]
        if self.pid():
            words += ['-W', str(machine.polling_thread(self.pid()))]
        if self.sharing_pid():
            words += ['-V', str(machine.polling_thread(self.sharing_pid()))]
        words += ['-p'] if guest == 'copied' else []
        words += ['-T'] if case == 'tunnel' else []
        return parse(self.generate(words))

    def generate(self, words):
        """Runs the generator with these options.  Returns its line."""
        raise NotImplementedError


def parse(line):
    """Returns the generator's line as a dictionary."""
    if not line.startswith('bench '):
        raise machine.BenchError(line[:500] or 'the generator said nothing')
    result = {}
    for word in line.split()[1:]:
        key, value = word.split('=', 1)
        try:
            result[key] = float(value) if '.' in value else int(value)
        except ValueError:
            result[key] = value
    return result


class OpenFlowSwitch(Switch):
    """Either Open vSwitch."""

    cases = ('in_port', 'dl_dst', 'normal', 'flows-1000', 'flows-100000',
             'acl', 'tunnel')
    ovs = None

    def prepare(self, case, size, guest):
        self.ovs.load(case)

    def wake(self):
        self.ovs.wake()

    def rest(self):
        self.ovs.rest()

    def pid(self):
        return self.ovs.pid

    def about(self):
        return self.ovs.settings


class Doms(OpenFlowSwitch):
    name = 'doms'
    title = 'DomS'

    def start(self):
        self.ovs = Ovs(self.settings.world, self.settings.build, self.name,
                       {'pmd-cpu-mask': '0x%x' % (1 << SWITCH_CPU)})
        self.ovs.start_domsd(os.path.join(TOP, 'tools/doms-local'))
        self.mtu = MTU
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port, 'type=doms',
             'mtu_request=%d' % MTU] for port in 'ab'])

    def prepare(self, case, size, guest):
        super().prepare(case, size, guest)
        mtu = MTU if size <= 1500 else JUMBO_MTU
        if mtu != self.mtu:
            for port in 'ab':
                self.ovs.vsctl('set', 'interface', port,
                               'mtu_request=%d' % mtu)
            self.mtu = mtu

    def generate(self, words):
        return run(self.settings.program('bench-switch'), '-S',
                   os.path.join(self.ovs.rundir, 'doms.sock'), '-a', 'a',
                   '-b', 'b', *words)


class DpdkSwitch(Switch):
    """A switch whose guests are one process of DPDK's."""

    guest = None
    guest_kind = 'built'
    ready = False

    def start_guest(self, frame, *devices):
        """Starts it, in place of an earlier one.  The socket of each of
        'devices' is the switch's to find."""
        self.stop_guest()
        s = self.settings
        words = s.eal('guest-' + self.name, 256, GUEST_CPU)
        for device in devices:
            words += ['--vdev', device]
        self.guest = s.world.start('guest-' + self.name,
                                   s.program('guest-dpdk'), *words, '--',
                                   str(frame), answers=True)
        self.ready = False

    def stop_guest(self):
        if self.guest:
            self.guest.stdin.close()
            with contextlib.suppress(Exception):
                self.guest.wait(10)
            self.guest = None
        for port in 'ab':
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket(port))

    def vhost_guest(self, frame, queue=1024, kind='built'):
        self.start_guest(frame, *[
            'net_virtio_user%d,path=%s,server=1,mrg_rxbuf=0,in_order=1,'
            'packed_vq=%d,queue_size=%d'
            % (i, self.socket(port), kind == 'packed', queue)
            for i, port in enumerate('ab')])
        self.guest_kind = kind

    def vhost_guest_of_kind(self, kind):
        """Has the guests have packed rings, or split ones."""
        if (kind == 'packed') != (self.guest_kind == 'packed'):
            self.vhost_guest(self.mtu + 14, kind=kind)

    def socket(self, port):
        return os.path.join(self.settings.world.folder,
                            '%s-%s.sock' % (self.name, port))

    def wait_for_guest(self):
        # A port of the guest's comes up only when the switch connects.
        while not self.ready:
            self.ready = answer(self.guest) == 'ready'

    def generate(self, words):
        self.wait_for_guest()
        return ask(self.guest, ' '.join(words))


class OvsDpdk(DpdkSwitch, OpenFlowSwitch):
    name = 'ovs-dpdk'
    title = 'OVS-DPDK, vhost-user'
    cases = OpenFlowSwitch.cases + ('s2h',)
    guests = ('built', 'copied', 'packed')

    def start(self):
        s = self.settings
        extra = '--file-prefix=%s --no-pci --no-telemetry' % self.name
        config = {'pmd-cpu-mask': '0x%x' % (1 << SWITCH_CPU),
                  'dpdk-lcore-mask': '0x%x' % (1 << GUEST_CPU),
                  'dpdk-init': 'true'}
        if s.huge:
            config['dpdk-socket-mem'] = '512'
            # Or its buffers take whatever there is.
            config['dpdk-socket-limit'] = '1024'
            config['dpdk-hugepage-dir'] = s.huge
        else:
            extra += ' --no-huge --legacy-mem -m 1536'
        config['dpdk-extra'] = extra
        self.ovs = Ovs(s.world, s.build, self.name, config)
        self.ovs.start_vswitchd(os.path.join(
            s.build, 'debian-ovs-dpdk/usr/lib/openvswitch-switch-dpdk/'
            'ovs-vswitchd-dpdk'))
        self.mtu = MTU
        self.vhost_guest(1514 + 100)
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port,
             'type=dpdkvhostuserclient', 'mtu_request=%d' % MTU,
             'options:vhost-server-path=' + self.socket(port)]
            for port in 'ab'])

    def prepare(self, case, size, guest):
        OpenFlowSwitch.prepare(self, case, size, guest)
        mtu = MTU if size <= 1500 else JUMBO_MTU
        if mtu != self.mtu:
            for port in 'ab':
                self.ovs.vsctl('set', 'interface', port,
                               'mtu_request=%d' % mtu)
            self.vhost_guest(mtu + 14)
            self.mtu = mtu
        self.vhost_guest_of_kind(guest)


class DomsSetter(DpdkSwitch, OpenFlowSwitch):
    """DomS, with a doms-setter for the same guests that OVS-DPDK has, on the
    CPU of the switch: both yield it to each other."""

    name = 'doms-setter'
    title = 'DomS, doms-setter'
    cases = ('s2h',)
    guests = ('built', 'packed')
    sizes = (64, 1500)
    setter_cpu = SWITCH_CPU
    yields = True
    setter = None

    def start(self):
        s = self.settings
        self.ovs = Ovs(s.world, s.build, self.name,
                       {'pmd-cpu-mask': '0x%x' % (1 << SWITCH_CPU),
                        'doms-pmd-yield': str(self.yields).lower()})
        if self.yields:
            # The switch yields only when it may also sleep.
            self.ovs.awake_sleep = '100'
        self.ovs.start_domsd(os.path.join(TOP, 'tools/doms-local'))
        self.mtu = MTU
        self.vhost_guest(1514 + 100)
        self.ovs.add_bridge(*[
            [port, '--', 'set', 'interface', port, 'type=doms',
             'mtu_request=%d' % MTU] for port in 'ab'])
        self.setter = s.world.start(
            self.name, os.path.join(s.build, 'release/bin/doms-setter'),
            *(['--yield'] if self.yields else []), '--user', 'root',
            '--arena', '256K',
            '--cpu', str(self.setter_cpu), '--socket',
            os.path.join(self.ovs.rundir, 'doms.sock'),
            *['%s=%s,mode=client' % (port, self.socket(port))
              for port in 'ab'])

    def prepare(self, case, size, guest):
        OpenFlowSwitch.prepare(self, case, size, guest)
        check_alive(self.setter)
        self.vhost_guest_of_kind(guest)

    def wake(self):
        super().wake()
        if self.yields:
            # The scheduler's default policy gives the CPU back to a thread
            # that yields, until all have used it equally long.
            for pid in (self.pid(), self.setter.pid):
                os.sched_setscheduler(machine.polling_thread(pid),
                                      os.SCHED_FIFO, os.sched_param(1))

    def rest(self):
        if self.yields:
            for pid in (self.pid(), self.setter.pid):
                os.sched_setscheduler(machine.polling_thread(pid),
                                      os.SCHED_OTHER, os.sched_param(0))
        super().rest()

    def sharing_pid(self):
        return self.setter.pid if self.setter_cpu == SWITCH_CPU else None

    def about(self):
        return dict(self.ovs.settings, cpus='guests %d, switch %d, setter %d'
                    % (GUEST_CPU, SWITCH_CPU, self.setter_cpu),
                    setter=' '.join(self.setter.args))


class DomsSetterApart(DomsSetter):
    """The same with a CPU for each of both."""

    name = 'doms-setter-apart'
    title = 'DomS, doms-setter on a CPU of its own'
    setter_cpu = 2
    yields = False

    @staticmethod
    def lacks():
        """Returns why this machine cannot run it, or None."""
        cpus = os.sched_getaffinity(0)
        if DomsSetterApart.setter_cpu in cpus:
            return None
        return ('%s: not measured: it takes CPU %d, and there are only %s; '
                'what is measured has the setter and the switch share CPU %d'
                % (DomsSetterApart.title, DomsSetterApart.setter_cpu,
                   ', '.join(map(str, sorted(cpus))), SWITCH_CPU))

    def can(self, case, size, guest):
        return not self.lacks() and super().can(case, size, guest)


class Forwarder(DpdkSwitch):
    """DPDK's testpmd, which hands on whatever comes from one port to the
    other, and looks at nothing."""

    cases = ('in_port',)
    process = None

    def start(self):
        self.start_both(MTU)
        self.wait_for_guest()
        self.rest()

    def prepare(self, case, size, guest):
        mtu = MTU if size <= 1500 else JUMBO_MTU
        if mtu != self.mtu:
            self.start_both(mtu)

    def start_testpmd(self, mtu, *devices):
        s = self.settings
        # One core to forward, and one for its main thread, which sleeps.
        words = s.eal(self.name, 512, '%d,%d' % (GUEST_CPU, SWITCH_CPU))
        for device in devices:
            words += ['--vdev', device]
        self.process = s.world.start(
            self.name, 'dpdk-testpmd', *words, '--main-lcore', str(GUEST_CPU),
            '--', '--forward-mode=io', '--nb-cores=1', '--rxq=1', '--txq=1',
            '--rxd=1024', '--txd=1024', '--burst=32',
            '--mbuf-size=%d' % (2048 + 128 if mtu <= MTU else 9344 + 128),
            '--total-num-mbufs=16384', *self.longest(mtu),
            '--no-flush-rx', '--stats-period=0',
            '--auto-start', open_input=True)

    def longest(self, mtu):
        """Returns testpmd's words for frames of so many bytes."""
        return []

    def stop_testpmd(self):
        if self.process:
            self.wake()
            self.process.terminate()
            with contextlib.suppress(Exception):
                self.process.wait(10)
            self.process = None

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def rest(self):
        self.process.send_signal(signal.SIGSTOP)

    def pid(self):
        return self.process.pid

    def about(self):
        return {'command': ' '.join(self.process.args)}

    def generate(self, words):
        check_alive(self.process)
        return super().generate(words)


class VhostBridge(Forwarder):
    name = 'vhost-bridge'
    title = 'vhost-user bridge'

    def longest(self, mtu):
        return ['--max-pkt-len=%d' % (mtu + 18)]

    def start_both(self, mtu):
        self.stop_testpmd()
        self.stop_guest()
        self.mtu = mtu
        self.vhost_guest(mtu + 14)
        self.start_testpmd(mtu, *[
            'net_vhost%d,iface=%s,queues=1,client=1' % (i, self.socket(port))
            for i, port in enumerate('ab')])


class Memif(Forwarder):
    name = 'memif'
    title = 'memif forward'
    sizes = (64, 512, 1500)  # Its driver knows no longer ones.

    def devices(self, role, mtu):
        size = 2048 if mtu <= MTU else 9344
        return ['net_memif%d,role=%s,id=0,socket=%s,socket-abstract=no,'
                'bsize=%d,rsize=10,zero-copy=no'
                % (i, role, self.socket(port), size)
                for i, port in enumerate('ab')]

    def start_both(self, mtu):
        self.stop_testpmd()
        self.stop_guest()
        self.mtu = mtu
        self.start_guest(mtu + 14, *self.devices('server', mtu))
        # A client that comes too early does not try again.
        wait_for('memif: the sockets of the guest', lambda: all(
            os.path.exists(self.socket(port)) for port in 'ab'))
        self.start_testpmd(mtu, *self.devices('client', mtu))
