#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""no_hypervisor.py computes what packets cost from what was counted with and
without them."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import no_hypervisor  # noqa: E402
import xentrace  # noqa: E402

PV_INTERRUPTS = '''\
           CPU0       CPU1
  0:         44          0   IO-APIC   2-edge      timer
 16:        600         10  xen-percpu    -virq      timer0
 22:         11          2  xen-dyn-lateeoi    -event     vif0-q0-tx
NMI:          0          0   Non-maskable interrupts
HYP:        780          0   Hypervisor callback interrupts
'''


def run_of(events=0, injected=0, **counts):
    """Returns what flow() does, of domain 1, with 'counts' of exits and
    hypercalls by name."""
    trace = xentrace.Trace()
    own = trace.vcpus[1, 0]
    own.exits.update({'vmmcall': counts.get('exits', 0)})
    own.hypercalls.update({'grant_table_op': counts.get('grants', 0),
                           'event_channel_op': counts.get('evtchns', 0)})
    if injected:
        own.injected[xentrace.UPCALL_VECTOR] = injected
    return {'trace': trace, 'events': {1: events}}


class Compare(unittest.TestCase):
    def test_a_packet_costs_what_the_control_lacks(self):
        found = no_hypervisor.compare(
            1, run_of(exits=1500, grants=500, evtchns=250),
            run_of(exits=500), seconds=5, rate=100)
        self.assertEqual(2.0, found['exits_per_packet'])
        self.assertEqual(1.5, found['hypercalls_per_packet'])

    def test_operations_are_told_as_they_are(self):
        found = no_hypervisor.compare(
            1, run_of(grants=500, evtchns=250), run_of(grants=1, evtchns=2),
            seconds=5, rate=100)
        self.assertEqual((500, 250, 1, 2),
                         (found['grant_ops'], found['evtchn_ops'],
                          found['idle_grant_ops'], found['idle_evtchn_ops']))

    def test_upcalls_are_injections_or_else_events(self):
        for with_flow, without in (
                (run_of(injected=1000), run_of(injected=500)),
                (run_of(events=200.0), run_of(events=100.0))):
            found = no_hypervisor.compare(1, with_flow, without, 5, 100)
            self.assertEqual(1.0, found['upcalls_per_packet'])

    def test_a_domain_that_did_nothing_costs_nothing(self):
        found = no_hypervisor.compare(7, run_of(exits=9), run_of(), 5, 100)
        self.assertEqual(0, found['exits_per_packet'])
        self.assertEqual({}, found['exits'])


class Events(unittest.TestCase):
    def test_only_interrupts_of_event_channels_count(self):
        self.assertEqual(600 + 10 + 11 + 2,
                         no_hypervisor.events(lambda _: PV_INTERRUPTS))


class Number(unittest.TestCase):
    def test_what_is_not_there_is_an_error(self):
        self.assertEqual(2.5, no_hypervisor.number(r'seconds=([\d.]+)',
                                                   'sent=1 seconds=2.5'))
        with self.assertRaises(no_hypervisor.LabError):
            no_hypervisor.number(r'received=(\d+)', 'usage: ..')


if __name__ == '__main__':
    unittest.main()
