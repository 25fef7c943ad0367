# SPDX-License-Identifier: Apache-2.0
"""A private Open vSwitch, be it domsd or Debian's ovs-vswitchd, in a network
namespace and a run directory of its own."""

import os

from . import flows
from .processes import check_alive, run, wait_for

# What all of them are set to.  Flows stay, though others are measured
# meanwhile.
SETTINGS = {'max-idle': '3600000', 'vlan-limit': '0'}
# Of a switch that is not measured: its polling threads sleep so long, in us.
RESTING_SLEEP = '10000'


class Ovs:
    """One such switch."""

    def __init__(self, world, build, name, settings):
        self.world = world
        self.build = build
        self.name = name
        self.settings = dict(SETTINGS, **settings)
        self.rundir = os.path.join(world.folder, name)
        os.mkdir(self.rundir, 0o700)
        self.netns = world.make_netns('bench-' + name)
        self.schema = os.path.join(
            build, 'debian-ovs/usr/share/openvswitch/vswitch.ovsschema')
        self.environ = dict(
            os.environ, OVS_RUNDIR=self.rundir, OVS_LOGDIR=self.rundir,
            OVS_DBDIR=self.rundir, DOMS_OVS_SCHEMA=self.schema,
            DOMS_BIN=os.path.join(build, 'release/bin'),
            PATH='%s:%s/debian-ovs/usr/bin:/usr/sbin:/sbin'
            % (os.environ.get('PATH', '/usr/bin:/bin'), build))
        self.control = None  # The daemon's socket for ovs-appctl.
        self.pid = None      # The daemon's.
        self.table = None    # The case whose flows are there.
        self.awake = None
        # How long it sleeps at most while it is measured, in us.
        self.awake_sleep = '0'

    def tool(self, *command, text=None):
        return run(*command, netns=self.netns, env=self.environ, text=text)

    def vsctl(self, *words):
        return self.tool('ovs-vsctl', '-t', '20', *words)

    def appctl(self, *words):
        return self.tool('ovs-appctl', '-T', '20', '-t', self.control, *words)

    def set(self, **other_config):
        words = ['other_config:%s="%s"' % (key.replace('_', '-'), value)
                 for key, value in other_config.items()]
        self.vsctl('set', 'Open_vSwitch', '.', *words)

    # How the daemon comes up.

    def start_domsd(self, doms_local):
        words = []
        for key, value in self.settings.items():
            words += ['--set', '%s=%s' % (key, value)]
        self.world.stack.callback(run, doms_local, 'stop', '--rundir',
                                  self.rundir, netns=self.netns,
                                  env=self.environ, check=False)
        self.tool(doms_local, 'start', '--rundir', self.rundir,
                  '--pmd-maxsleep', RESTING_SLEEP, *words)
        with open(os.path.join(self.rundir, 'domsd.pid'),
                  encoding='ascii') as f:
            self.pid = int(f.read())
        self.control = os.path.join(self.rundir, 'domsd.%d.ctl' % self.pid)
        self.awake = False

    def start_vswitchd(self, program, cpu=None):
        """Starts Debian's 'program'; on 'cpu' alone, if that is given."""
        database = os.path.join(self.rundir, 'conf.db')
        socket = 'unix:' + os.path.join(self.rundir, 'db.sock')
        self.tool('ovsdb-tool', 'create', database, self.schema)
        server = self.world.start(
            self.name + '-ovsdb', 'ovsdb-server', database,
            '--remote=p' + socket, netns=self.netns, env=self.environ)
        wait_for('the database of ' + self.name,
                 lambda: check_alive(server) or
                 os.path.exists(socket[len('unix:'):]))
        words = ['other_config:%s="%s"' % item
                 for item in self.settings.items()]
        self.vsctl('--no-wait', 'init', '--', 'set', 'Open_vSwitch', '.',
                   'other_config:pmd-maxsleep="%s"' % RESTING_SLEEP, *words)
        self.control = os.path.join(self.rundir, 'vswitchd.ctl')
        daemon = self.world.start(self.name + '-vswitchd', program, socket,
                                  '--pidfile', '--unixctl=' + self.control,
                                  cpu=cpu, netns=self.netns,
                                  env=self.environ)
        self.pid = daemon.pid
        wait_for('ovs-vswitchd of ' + self.name,
                 lambda: check_alive(daemon) or os.path.exists(self.control))
        self.world.stack.callback(
            run, 'ovs-appctl', '-T', '5', '-t', self.control, 'exit',
            '--cleanup', netns=self.netns, env=self.environ, check=False)
        self.awake = False

    # What it does.

    def add_bridge(self, *ports):
        """Makes the bridge br0 of 'ports', each a list of ovs-vsctl's words
        after 'add-port br0'."""
        words = ['add-br', 'br0', '--', 'set', 'bridge', 'br0',
                 'datapath_type=netdev', 'fail_mode=secure']
        for port in ports:
            words += ['--', 'add-port', 'br0'] + list(port)
        self.vsctl(*words)

    def add_underlay(self):
        """Makes the other side of a tunnel: the bridge 'under', whose own
        address the tunnel has, and which a patch joins to br0."""
        self.vsctl(
            'add-br', 'under', '--', 'set', 'bridge', 'under',
            'datapath_type=netdev', 'fail_mode=secure',
            'other_config:hwaddr="%s"' % flows.VTEP_MAC['a'],
            '--', 'add-port', 'under', 'over', '--', 'set', 'interface',
            'over', 'type=patch', 'options:peer=underlay',
            '--', 'add-port', 'br0', 'underlay', '--', 'set', 'interface',
            'underlay', 'type=patch', 'options:peer=over',
            '--', 'add-port', 'br0', 'vx', '--', 'set', 'interface', 'vx',
            'type=vxlan', 'options:remote_ip=' + flows.VTEP_IP['b'],
            'options:local_ip=' + flows.VTEP_IP['a'], 'options:key=0')
        self.tool('ip', 'link', 'set', 'under', 'up', 'mtu', '9200')
        self.tool('ip', 'addr', 'add', flows.VTEP_IP['a'] + '/24', 'dev',
                  'under')
        self.tool('ovs-ofctl', 'replace-flows', 'under', '-',
                  text='in_port=over,actions=LOCAL\n'
                       'in_port=LOCAL,actions=output:over\n')
        wait_for('the route to the tunnel\'s end', lambda: flows.VTEP_IP['a']
                 in self.appctl('ovs/route/show'))

    def load(self, case):
        """Gives br0 the flows of a case, unless it has them."""
        if self.table == case:
            return
        if case == 'tunnel':
            if 'under' not in self.vsctl('list-br').split():
                self.add_underlay()
            self.appctl('tnl/neigh/set', 'under', flows.VTEP_IP['b'],
                        flows.VTEP_MAC['b'])
        lines = flows.CASES[case][0]()
        self.table = None
        self.tool('ovs-ofctl', 'del-flows', 'br0')
        self.tool('ovs-ofctl', '--bundle', 'add-flows', 'br0', '-',
                  text='\n'.join(lines) + '\n')
        self.appctl('revalidator/purge')
        # Or it would rise to that in steps of 1,000, one each half a second.
        self.appctl('upcall/set-flow-limit', '200000')
        self.table = case

    def wake(self):
        if not self.awake:
            self.vsctl('set', 'Open_vSwitch', '.',
                       'other_config:pmd-maxsleep="%s"' % self.awake_sleep)
            self.awake = True

    def rest(self):
        if self.awake:
            self.vsctl('set', 'Open_vSwitch', '.',
                       'other_config:pmd-maxsleep="%s"' % RESTING_SLEEP)
            self.awake = False
