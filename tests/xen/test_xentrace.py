#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""xentrace.py counts what a trace holds: traces that these tests compose,
byte by byte, as public/trace.h of Xen has them."""

import os
import struct
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import xentrace  # noqa: E402

# States of a vCPU.
RUNNING, RUNNABLE, BLOCKED = 0, 1, 2


def record(event, *words, tsc=None):
    """Returns a record of 'event' with 'words', with time stamp 'tsc' if
    given."""
    header = event | len(words) << 28
    stamp = b''
    if tsc is not None:
        header |= 1 << 31
        stamp = struct.pack('<Q', tsc)
    return (struct.pack('<I', header) + stamp +
            struct.pack('<%dI' % len(words), *words))


def window(cpu, *records):
    """Returns what xentrace writes of CPU 'cpu' at once."""
    body = b''.join(records)
    return record(0x1f003, cpu, len(body)) + body


def change(domid, vcpu, old, new):
    """A vCPU's state changes."""
    return record(0x21001 | old << 8 | new << 4, domid << 16 | vcpu, tsc=1)


def vmexit(reason):
    return record(0x81102, reason, 0x1000, 0, tsc=1)


def vmmcall(op):
    return record(0x82012, op, tsc=1)


def counts_of(*windows, **kwargs):
    return xentrace.parse(b''.join(windows), **kwargs)


class Attribution(unittest.TestCase):
    def test_records_count_for_who_was_put_on_the_cpu(self):
        trace = counts_of(window(
            1, change(3, 0, RUNNABLE, RUNNING), vmexit(0x78),
            change(3, 0, RUNNING, BLOCKED), change(4, 2, BLOCKED, RUNNING),
            vmexit(0x60), vmexit(0x60)))
        self.assertEqual({'hlt': 1}, trace.vcpus[3, 0].exits)
        self.assertEqual({'intr': 2}, trace.vcpus[4, 2].exits)
        self.assertEqual([3, 4], trace.domids())

    def test_each_cpu_has_its_own_vcpu(self):
        trace = counts_of(
            window(0, change(1, 0, RUNNABLE, RUNNING)),
            window(1, change(2, 0, RUNNABLE, RUNNING)),
            window(0, vmexit(0x81)), window(1, vmexit(0x60)))
        self.assertEqual({'vmmcall': 1}, trace.domain(1).exits)
        self.assertEqual({'intr': 1}, trace.domain(2).exits)

    def test_waking_another_vcpu_changes_nothing(self):
        trace = counts_of(window(
            0, change(1, 0, RUNNABLE, RUNNING),
            change(9, 0, BLOCKED, RUNNABLE), vmexit(0x60)))
        self.assertEqual(1, trace.domain(1).n_exits)
        self.assertEqual(0, trace.domain(9).n_exits)

    def test_a_vcpu_that_goes_on_running_is_known_by_that(self):
        trace = counts_of(window(2, record(0x21002, 7 << 16 | 1, tsc=1),
                                 vmexit(0x60)))
        self.assertEqual(1, trace.vcpus[7, 1].n_exits)

    def test_a_vcpu_that_never_switches_is_known_from_running(self):
        trace = counts_of(window(2, vmexit(0x60)), running={2: (5, 0)})
        self.assertEqual(1, trace.domain(5).n_exits)

    def test_scheduling_records_overrule_running(self):
        trace = counts_of(window(2, change(6, 0, RUNNABLE, RUNNING),
                                 vmexit(0x60)), running={2: (5, 0)})
        self.assertEqual([6], trace.domids())

    def test_what_nobody_is_known_for_is_unknown(self):
        trace = counts_of(window(2, vmexit(0x60)))
        self.assertEqual(1, trace.vcpus[xentrace.UNKNOWN].n_exits)
        self.assertEqual([], trace.domids())

    def test_idle_vcpus_are_no_domain(self):
        trace = counts_of(window(
            0, change(xentrace.IDLE, 0, RUNNABLE, RUNNING), vmexit(0x60)))
        self.assertEqual([], trace.domids())

    def test_a_domain_is_the_sum_of_its_vcpus(self):
        trace = counts_of(
            window(0, vmexit(0x60), vmmcall(20)),
            window(1, vmexit(0x60), vmmcall(32)),
            running={0: (1, 0), 1: (1, 1)})
        self.assertEqual({'intr': 2}, trace.domain(1).exits)
        self.assertEqual((1, 1), (trace.domain(1).grant_ops,
                                  trace.domain(1).evtchn_ops))


class Kinds(unittest.TestCase):
    @staticmethod
    def domain(*records, **kwargs):
        return counts_of(window(0, *records), running={0: (1, 0)},
                         **kwargs).domain(1)

    def test_hypercalls_of_a_pvh_guest(self):
        counts = self.domain(vmexit(0x81), vmmcall(20), vmmcall(32),
                             vmmcall(32), vmmcall(16))
        self.assertEqual(1, counts.grant_ops)
        self.assertEqual(3, counts.evtchn_ops)
        self.assertEqual({'vmmcall': 1}, counts.exits)

    def test_hypercalls_of_a_pv_guest_are_its_entries(self):
        # Bits 20 and up of the first word tell which arguments follow.
        counts = self.domain(record(0x20100d, 20 | 1 << 20 | 1 << 24, 5, 1,
                                    tsc=1))
        self.assertEqual({'grant_table_op': 1}, counts.hypercalls)
        self.assertEqual({'hypercall': 1}, counts.exits)

    def test_a_multicall_is_one_entry_and_several_hypercalls(self):
        counts = self.domain(record(0x20100d, 13 | 1 << 22, 2, tsc=1),
                             record(0x20200e, 20, tsc=1),
                             record(0x20200e, 20, tsc=1))
        self.assertEqual({'multicall': 1, 'grant_table_op': 2},
                         counts.hypercalls)
        self.assertEqual(1, counts.n_exits)

    def test_other_entries_of_a_pv_guest(self):
        counts = self.domain(record(0x201104, 1, 2, 3, 4, 5, tsc=1),
                             record(0x201003, 1, 2, tsc=1),
                             record(0x201106, 1, 2, tsc=1))
        self.assertEqual({'page_fault': 1, 'trap': 1, 'privop': 1},
                         counts.exits)

    def test_upcalls_are_injections_of_one_vector(self):
        counts = self.domain(record(0x82004, 0xf3, 0, tsc=1),
                             record(0x82004, 0xf3, 0, tsc=1),
                             record(0x82004, 0xec, 0, tsc=1),
                             record(0x82004, 0, 1, tsc=1))
        self.assertEqual(2, counts.upcalls)
        self.assertEqual({0xf3: 2, 0xec: 1}, counts.injected)

    def test_exits_of_intel(self):
        counts = self.domain(vmexit(12), vmexit(1), vendor='vmx')
        self.assertEqual({'hlt': 1, 'intr': 1}, counts.exits)

    def test_32_bit_exits(self):
        counts = self.domain(record(0x81002, 0x78, 0x1000, tsc=1))
        self.assertEqual({'hlt': 1}, counts.exits)

    def test_what_has_no_name_has_a_number(self):
        counts = self.domain(vmexit(0x3ff), vmmcall(63))
        self.assertEqual({'0x3ff': 1}, counts.exits)
        self.assertEqual({'0x3f': 1}, counts.hypercalls)

    def test_nested_and_other_events_do_not_count(self):
        counts = self.domain(record(0x81001, tsc=1), record(0x81401, tsc=1),
                             record(0x2800a, 1, 0, 2, 0, tsc=1),
                             record(0x1f002))
        self.assertEqual(0, counts.n_exits)


class Damage(unittest.TestCase):
    def test_lost_records_are_counted_and_name_who_runs(self):
        trace = counts_of(window(
            0, change(1, 0, RUNNABLE, RUNNING),
            record(0x1f001, 1234, 3 << 16 | 2, 0, 0, tsc=1), vmexit(0x60)))
        self.assertEqual(1234, trace.lost)
        self.assertEqual(1, trace.vcpus[2, 3].n_exits)

    def test_losses_add_up(self):
        lost = record(0x1f001, 5, 1, 0, 0, tsc=1)
        self.assertEqual(10, counts_of(window(0, lost),
                                       window(1, lost)).lost)

    def test_every_cut_is_noticed_and_keeps_what_was_before(self):
        whole = window(0, vmexit(0x60), vmmcall(20))
        last = len(whole) - len(vmmcall(20))
        for size in range(last + 1, len(whole)):
            trace = counts_of(whole[:size], running={0: (1, 0)})
            self.assertTrue(trace.truncated, size)
            self.assertEqual(1, trace.domain(1).n_exits)
            self.assertEqual(0, trace.domain(1).grant_ops)
        self.assertFalse(counts_of(whole).truncated)

    def test_an_empty_file_is_an_empty_trace(self):
        trace = counts_of(b'')
        self.assertEqual((0, 0, False),
                         (trace.records, trace.lost, trace.truncated))

    def test_another_kind_of_file_is_refused(self):
        with self.assertRaisesRegex(xentrace.TraceError, 'byte 0'):
            counts_of(b'#!/bin/sh\necho no trace\n')

    def test_a_record_that_is_too_short_is_refused(self):
        for event in 0x81102, 0x82012, 0x21000, 0x21002, 0x1f001, 0x20100d:
            with self.assertRaisesRegex(xentrace.TraceError, 'words'):
                counts_of(window(0, record(event | (
                    1 if event == 0x21000 else 0), tsc=1)))

    def test_time_stamps_are_those_of_all_cpus(self):
        trace = counts_of(window(0, record(0x81001, tsc=50)),
                          window(1, record(0x81001, tsc=20),
                                 record(0x81001)))
        self.assertEqual((20, 50), (trace.first, trace.last))


class Running(unittest.TestCase):
    HEAD = ('Name                                ID  VCPU   CPU State   '
            'Time(s) Affinity (Hard / Soft)\n')

    def test_pinned_vcpus_are_known(self):
        self.assertEqual({0: (0, 0), 1: (4, 0)}, xentrace.running_of(
            self.HEAD +
            'Domain-0       0     0    0   r--       7.9  0 / all\n'
            'a b            4     0    1   -b-       5.2  1 / all\n'))

    def test_a_cpu_of_two_vcpus_is_not_known(self):
        self.assertEqual({1: (4, 0)}, xentrace.running_of(
            self.HEAD +
            'Domain-0       0     0    0   r--       7.9  0 / all\n'
            'a              4     0    1   -b-       5.2  1 / all\n'
            'b              5     0    0   -b-       5.2  0 / all\n'))

    def test_nothing_is_known_beside_a_vcpu_that_runs_anywhere(self):
        self.assertEqual({}, xentrace.running_of(
            self.HEAD +
            'Domain-0       0     0    0   r--       7.9  all / all\n'
            'a              4     0    1   -b-       5.2  1 / all\n'))


if __name__ == '__main__':
    unittest.main()
