# SPDX-License-Identifier: Apache-2.0
"""Cases: the hypervisor is not on a packet's way; beside netback, in the same
run.  The networks are those of bench/xen."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', '..', 'bench', 'xen'))

from case import case, check, on_host  # noqa: E402
import measure  # noqa: E402
import networks  # noqa: E402
import no_hypervisor as hypervisor  # noqa: E402

SECONDS = 3
# Event-channel calls that a line on a console or a word with xenstore makes
# meanwhile; the flow is 7,500 packets.
STRAY = 5


def joined(lab, name):
    """Starts the network 'name' of bench/xen with two PVH guests."""
    network = networks.NETWORKS[name](lab, 'pvh')
    network.start()
    measure.reach(network.guests[0], networks.address(1))
    return network


# Each of those that poll has a CPU.
@case
@on_host(cpus=4, apart=False)
def no_hypervisor(lab):
    """With hard polling, packets add no grant or event-channel hypercall and
    next to no VM exit to what an idle host does that polls as well."""
    result = {}
    for name in 'netback-dom0', 'doms':
        network = joined(lab, name)
        network.spin()
        seen = hypervisor.measure(lab, network.guests, network.switch,
                                  SECONDS, pps=2500,
                                  address=networks.address(1))
        prefix = '' if name == 'doms' else 'netback_'
        for key in 'pps', 'exits_per_packet', 'hypercalls_per_packet':
            result[prefix + key] = seen[key]
        for key in 'grant_ops', 'evtchn_ops':
            result[prefix + key] = sum(seen[key].values())
            result[prefix + 'idle_' + key] = sum(seen['idle_' + key].values())
        result[prefix + 'lost_records'] = seen['lost_records']
        lab.clear()
    check(result['pps'] >= 2000, '%(pps)d packets a second' % result)
    check(result['grant_ops'] == 0
          and result['evtchn_ops'] <= result['idle_evtchn_ops'] + STRAY,
          'packets cost hypercalls: %s' % result)
    check(result['exits_per_packet'] < 0.05,
          'packets cost VM exits: %s' % result)
    check(not result['lost_records'], 'the trace has holes: %s' % result)
    return result
