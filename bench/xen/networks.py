# SPDX-License-Identifier: Apache-2.0
"""The networks that bench-xen joins two guests by, in the lab.

Where the emulated host has two physical CPUs, one for each real one, who
switches has CPU 1 to itself, be it Dom0 or a domain, and CPU 0 is for all
others.  Where it has four, no vCPU shares its CPU, as tracing needs: 0 is
Dom0's, 1 and 2 are the guests', 3 is the switching domain's.
"""

import no_hypervisor

NAMES = ('sender', 'receiver')
# CPUs, where there are four.
PLACES_OF_FOUR = {'dom0': 0, 'guests': (1, 2), 'switch': 3}


def address(number):
    """Returns the address of guest 'number', counted from 0."""
    return '10.9.0.%d' % (number + 1)


class Network:
    """A network: 'name' is in results, 'title' in tables.  Use each once."""

    name = title = ''
    # CPUs, where there are two.
    places_of_two = {'dom0': 0, 'guests': (0, 0), 'switch': 1}

    def __init__(self, lab, kind):
        self.lab = lab
        # pvh or pv: of the guests, and of the switching domain if it can be.
        self.kind = kind
        # The domain that switches, None if that is Dom0.
        self.switch = None
        self.guests = []
        self.places = self.places_of_two if lab.cpus == 2 else PLACES_OF_FOUR

    def start(self):
        """Makes the switch and both guests, pinned and with addresses."""
        no_hypervisor.pin(self.lab, {0: [self.places['dom0']]})
        self.start_switch()
        for number, name in enumerate(NAMES):
            config = ['cpus="%d"' % self.places['guests'][number]]
            self.guests.append(self.lab.create(
                name, self.kind, config=config + self.config(number)))
            self.attach(number)
        for number, guest in enumerate(self.guests):
            guest.wait_up()
            guest.run('until [ -e /sys/class/net/eth0 ]; do usleep 20000; '
                      'done; ip link set eth0 up && '
                      'ip addr add %s/24 dev eth0' % address(number))
        if self.lab.cpus == 2:
            self.tune()

    def start_switch(self):
        """Makes the switch."""

    def config(self, number):
        """Returns what guest 'number' has in its configuration."""
        return []

    def attach(self, number):
        """Joins guest 'number', which has just been made, to the switch."""

    def tune(self):
        """Sets what suits the places of the vCPUs."""

    def spin(self):
        """Has whatever polls do so without ever sleeping, for the trace."""


def vif(number, words='', bridge='xenbr0'):
    """Returns the line that gives guest 'number' a netfront."""
    return 'vif=["mac=00:16:3e:00:00:%02x,bridge=%s%s"]' % (number + 1,
                                                            bridge, words)


class NetbackDom0(Network):
    name = 'netback-dom0'
    title = 'netback, Dom0'
    places_of_two = {'dom0': 1, 'guests': (0, 0)}

    def start_switch(self):
        self.lab.dom0('[ -e /sys/class/net/xenbr0 ] || '
                      'ip link add xenbr0 type bridge; ip link set xenbr0 up')

    def config(self, number):
        return [vif(number)]


class NetbackDom0Apart(NetbackDom0):
    """The same, with Dom0 on the sender's CPU and a CPU for the receiver."""

    name = 'netback-dom0-apart'
    title = 'netback, Dom0, guests apart'
    places_of_two = {'dom0': 0, 'guests': (0, 1)}


class NetbackDomain(Network):
    name = 'netback-domain'
    title = 'netback, domain'

    def start_switch(self):
        self.switch = self.lab.create(
            'switch', self.kind,
            config=['driver_domain=1', 'cpus="%d"' % self.places['switch']])
        self.switch.wait_up()
        self.switch.run('modprobe xen-netback && modprobe bridge && '
                        'ip link add xenbr0 type bridge && '
                        'ip link set xenbr0 up')

    def config(self, number):
        return [vif(number, ',backend=' + self.switch.name)]

    def attach(self, number):
        # What the hotplug script does in Dom0.
        domid = self.guests[number].domid
        self.switch.run('until [ -e /sys/class/net/vif{0}.0 ]; do '
                        'usleep 20000; done; '
                        'ip link set vif{0}.0 master xenbr0 up'.format(domid))
        self.lab.dom0('xenstore-write /local/domain/%d/backend/vif/%d/0/'
                      'hotplug-status connected' % (self.switch.domid, domid))


class DomsDefault(Network):
    """DomS as it is installed."""

    name = 'doms-default'
    title = 'DomS, default settings'

    def start_switch(self):
        self.switch = self.lab.start_doms(kind=self.kind, watchdog=False,
                                          vcpus=1)
        no_hypervisor.pin(self.lab, {self.switch.domid: [self.places['switch']]})

    def attach(self, number):
        self.lab.attach(NAMES[number])

    def spin(self):
        self.switch.vsctl('set Open_vSwitch . other_config:pmd-maxsleep=0')
        for guest in self.guests:
            guest.run('ethtool -C eth0 rx-usecs 0')


class Doms(DomsDefault):
    """A switch that never sleeps, as it has a CPU to itself, and fronts that
    never sleep but yield, as they share one."""

    name = 'doms'
    title = 'DomS'

    def tune(self):
        self.spin()
        for guest in self.guests:
            guest.run('ethtool --set-priv-flags eth0 yield on')


class DomsNetif(DomsDefault):
    """DomS as it is installed, and the guests' own netfronts."""

    name = 'netif'
    title = 'DomS, netfront'

    def config(self, number):
        return [vif(number, ',backend=' + self.switch.name, 'br0')]

    def attach(self, number):
        pass

    def spin(self):
        self.switch.vsctl('set Open_vSwitch . other_config:pmd-maxsleep=0')


NETWORKS = {network.name: network
            for network in (NetbackDom0, NetbackDom0Apart, NetbackDomain,
                            Doms, DomsDefault, DomsNetif)}
# Those of which the hypervisor is traced.
TRACED = ('netback-dom0', 'netback-domain', 'doms', 'netif')
