#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what each domain asked of the hypervisor, from a trace of Xen's.

The trace is what Dom0's

    xentrace -D -S 512 -T SECONDS -e 0x2af000 FILE

writes: the classes sched, HVM and PV of Xen's public/trace.h.  A record tells
its physical CPU only, so each is counted for the vCPU that, by the scheduling
records of that CPU, ran there.  A vCPU that has its CPU to itself may never
make one: 'running' tells who runs where when the trace begins, which
`xl vcpu-pin` and `xl vcpu-list` give.  What comes before any scheduling record
of a CPU, and for which 'running' has no answer, is counted for UNKNOWN.

Xen drops records when xentrace does not fetch them in time, and says how many:
Trace.lost.  Counts of a trace that lost records are too small.

    trace = read('FILE', running={1: (4, 0)})
    print(trace.domain(4).exits, trace.lost)

Nothing here keeps state; all of it is safe for use by several threads.
"""

import argparse
import collections
import struct
import sys

# The mask that xentrace(8) needs for all that is counted here.
MASK = 0x2af000

# Whom records count for that belong to nobody known: (domain id, vCPU).
UNKNOWN = (-1, -1)
# The domain id of the idle vCPUs.
IDLE = 0x7fff

# Events, of public/trace.h.
LOST_RECORDS = 0x01f001
CPU_CHANGE = 0x01f003
RUNSTATE_CHANGE = 0x021001
RUNSTATE_MASK = 0xfffff00f      # Less the old and the new state.
CONTINUE_RUNNING = 0x021002
VMEXIT = 0x081002
VMEXIT64 = 0x081102
INJ_VIRQ = 0x082004
VMMCALL = 0x082012
PV_HYPERCALL_V2 = 0x20100d
PV_HYPERCALL_SUBCALL = 0x20200e
PV_ENTRY_MASK = 0xfffff000
PV_ENTRY = 0x201000
FLAG_64 = 0x100

RUNNING = 0     # Of the states of a vCPU, the one that matters here.

# Other ways from a PV guest into the hypervisor, by event less PV_ENTRY and
# FLAG_64.
PV_ENTRIES = {
    3: 'trap', 4: 'page_fault', 5: 'forced_invalid_op', 6: 'privop',
    7: 'emulate_4gb', 8: 'math_state_restore', 9: 'paging_fixup',
    10: 'gdt_ldt_fault', 11: 'ptwr', 12: 'ptwr_pae',
}

HYPERCALLS = {
    0: 'set_trap_table', 1: 'mmu_update', 2: 'set_gdt', 3: 'stack_switch',
    4: 'set_callbacks', 5: 'fpu_taskswitch', 6: 'sched_op_compat',
    7: 'platform_op', 8: 'set_debugreg', 9: 'get_debugreg',
    10: 'update_descriptor', 12: 'memory_op', 13: 'multicall',
    14: 'update_va_mapping', 15: 'set_timer_op',
    16: 'event_channel_op_compat', 17: 'xen_version', 18: 'console_io',
    19: 'physdev_op_compat', 20: 'grant_table_op', 21: 'vm_assist',
    22: 'update_va_mapping_otherdomain', 23: 'iret', 24: 'vcpu_op',
    25: 'set_segment_base', 26: 'mmuext_op', 27: 'xsm_op', 28: 'nmi_op',
    29: 'sched_op', 30: 'callback_op', 31: 'xenoprof_op',
    32: 'event_channel_op', 33: 'physdev_op', 34: 'hvm_op', 35: 'sysctl',
    36: 'domctl', 37: 'kexec_op', 38: 'tmem_op', 39: 'argo_op',
    40: 'xenpmu_op', 41: 'dm_op', 42: 'hypfs_op',
}

# Reasons of VM exits: AMD's manual, volume 2, appendix C.
EXITS_SVM = {
    **{0x40 + vector: 'exception_%d' % vector for vector in range(32)},
    0x60: 'intr',
    0x61: 'nmi', 0x62: 'smi', 0x63: 'init', 0x64: 'vintr',
    0x6e: 'rdtsc', 0x6f: 'rdpmc', 0x72: 'cpuid', 0x74: 'iret',
    0x77: 'pause', 0x78: 'hlt', 0x79: 'invlpg', 0x7b: 'ioio', 0x7c: 'msr',
    0x7d: 'task_switch', 0x7f: 'shutdown', 0x81: 'vmmcall', 0x87: 'rdtscp',
    0x89: 'wbinvd', 0x8a: 'monitor', 0x8b: 'mwait', 0x8d: 'xsetbv',
    0x400: 'npf',
}
# And Intel's manual, volume 3, appendix C.
EXITS_VMX = {
    0: 'exception_or_nmi', 1: 'intr', 2: 'triple_fault', 7: 'intr_window',
    8: 'nmi_window', 9: 'task_switch', 10: 'cpuid', 12: 'hlt', 13: 'invd',
    14: 'invlpg', 15: 'rdpmc', 16: 'rdtsc', 18: 'vmmcall', 28: 'cr_access',
    29: 'dr_access', 30: 'ioio', 31: 'rdmsr', 32: 'wrmsr', 36: 'mwait',
    37: 'monitor_trap', 39: 'monitor', 40: 'pause', 43: 'tpr_below',
    44: 'apic_access', 45: 'virtualized_eoi', 48: 'ept_violation',
    49: 'ept_misconfig', 51: 'rdtscp', 52: 'preemption_timer', 54: 'wbinvd',
    55: 'xsetbv', 56: 'apic_write', 58: 'invpcid', 62: 'pml_full',
}
EXITS = {'svm': EXITS_SVM, 'vmx': EXITS_VMX}

# The interrupt by which Xen tells a Linux guest of an event channel.
UPCALL_VECTOR = 0xf3


class TraceError(Exception):
    """A file is no trace: which byte says so, and why."""


class Counts:
    """What one vCPU, or one domain, asked of the hypervisor.

    exits       VM exits by reason; of a PV domain, which has none, its entries
                to the hypervisor by kind ('hypercall', 'trap', ..), which do
                not include physical interrupts
    hypercalls  by name, those within a multicall too
    injected    interrupts that Xen injected, by vector: PVH and HVM only
    """

    def __init__(self):
        self.exits = collections.Counter()
        self.hypercalls = collections.Counter()
        self.injected = collections.Counter()

    def __iadd__(self, other):
        self.exits += other.exits
        self.hypercalls += other.hypercalls
        self.injected += other.injected
        return self

    @property
    def n_exits(self):
        """All exits, whatever their reason."""
        return sum(self.exits.values())

    @property
    def grant_ops(self):
        """Calls of grant_table_op."""
        return self.hypercalls['grant_table_op']

    @property
    def evtchn_ops(self):
        """Calls of event_channel_op."""
        return (self.hypercalls['event_channel_op'] +
                self.hypercalls['event_channel_op_compat'])

    @property
    def upcalls(self):
        """Event-channel upcalls of a PVH or HVM domain."""
        return self.injected[UPCALL_VECTOR]


class Trace:
    """What a trace holds.

    vcpus      Counts by (domain id, vCPU)
    lost       records that Xen dropped
    records    records read
    truncated  whether the file ends within a record
    first, last  the lowest and the highest time stamp, 0 if there is none
    """

    def __init__(self):
        self.vcpus = collections.defaultdict(Counts)
        self.lost = 0
        self.records = 0
        self.truncated = False
        self.first = self.last = 0

    def domain(self, domid):
        """Returns the sum of the Counts of domain 'domid'."""
        total = Counts()
        for (owner, _), counts in self.vcpus.items():
            if owner == domid:
                total += counts
        return total

    def domids(self):
        """Returns the domains that occur, without the idle one."""
        return sorted({domid for domid, _ in self.vcpus} - {IDLE, -1})


def name_of(names, number):
    """Returns the name that 'names' has for 'number', or one made of it."""
    return names.get(number) or '%#x' % number


class _Parser:
    """One pass over the bytes of a trace."""

    def __init__(self, running, exits):
        self.trace = Trace()
        self.current = dict(running)    # By CPU: (domain id, vCPU).
        self.exits = exits
        self.cpu = 0

    def parse(self, data):
        trace = self.trace
        view = memoryview(data)
        size = len(view)
        offset = 0
        while offset < size:
            if offset + 4 > size:
                trace.truncated = True
                break
            header, = struct.unpack_from('<I', view, offset)
            event = header & 0x0fffffff
            n_extra = header >> 28 & 7
            start = offset + 4
            if header >> 31:
                start += 8
            end = start + 4 * n_extra
            if offset == 0 and event != CPU_CHANGE:
                raise TraceError('byte 0: event %#x, where a trace of '
                                 "xentrace's has the number of a CPU" % event)
            if end > size:
                trace.truncated = True
                break
            if header >> 31 and start <= size:
                self.at(struct.unpack_from('<Q', view, offset + 4)[0])
            self.record(event, struct.unpack_from('<%dI' % n_extra, view,
                                                  start), offset)
            offset = end
        return trace

    def at(self, stamp):
        """A record has time stamp 'stamp'."""
        trace = self.trace
        if not trace.first or stamp < trace.first:
            trace.first = stamp
        trace.last = max(trace.last, stamp)

    def counts(self):
        """Returns the Counts of who runs on the CPU at hand."""
        return self.trace.vcpus[self.current.get(self.cpu, UNKNOWN)]

    def record(self, event, extra, offset):
        """Counts record 'event' with words 'extra', found at 'offset'."""
        if event == CPU_CHANGE:
            self.need(extra, 1, offset)
            self.cpu = extra[0]
            return
        self.trace.records += 1
        if event in (VMEXIT, VMEXIT64):
            self.need(extra, 1, offset)
            self.counts().exits[name_of(self.exits, extra[0])] += 1
        elif event & RUNSTATE_MASK == RUNSTATE_CHANGE:
            # Who wakes another vCPU makes a record, too; only who goes on
            # CPU here matters.
            self.need(extra, 1, offset)
            if event >> 4 & 3 == RUNNING:
                self.current[self.cpu] = (extra[0] >> 16, extra[0] & 0xffff)
        elif event == CONTINUE_RUNNING:
            self.need(extra, 1, offset)
            self.current[self.cpu] = (extra[0] >> 16, extra[0] & 0xffff)
        elif event == VMMCALL:
            self.need(extra, 1, offset)
            self.counts().hypercalls[name_of(HYPERCALLS, extra[0])] += 1
        elif event == INJ_VIRQ:
            self.need(extra, 2, offset)
            # A fake one makes the guest exit as soon as it can be interrupted.
            if not extra[1]:
                self.counts().injected[extra[0]] += 1
        elif event == LOST_RECORDS:
            self.need(extra, 2, offset)
            self.trace.lost += extra[0]
            self.current[self.cpu] = (extra[1] & 0xffff, extra[1] >> 16)
        elif event == PV_HYPERCALL_SUBCALL:
            self.need(extra, 1, offset)
            self.counts().hypercalls[name_of(HYPERCALLS,
                                             extra[0] & 0xfffff)] += 1
        elif event & PV_ENTRY_MASK == PV_ENTRY:
            self.pv_entry(event, extra, offset)

    def pv_entry(self, event, extra, offset):
        """Counts a PV domain's entry to the hypervisor."""
        if event == PV_HYPERCALL_V2:
            self.need(extra, 1, offset)
            counts = self.counts()
            counts.hypercalls[name_of(HYPERCALLS, extra[0] & 0xfffff)] += 1
            counts.exits['hypercall'] += 1
        else:
            number = event & ~FLAG_64 & 0xfff
            self.counts().exits[name_of(PV_ENTRIES, number)] += 1

    @staticmethod
    def need(extra, n, offset):
        """Fails if a record at 'offset' has fewer than 'n' words."""
        if len(extra) < n:
            raise TraceError('byte %d: a record of %d words, where %d are '
                             'needed' % (offset, len(extra), n))


def parse(data, running=(), vendor='svm'):
    """Returns the Trace that bytes 'data' hold.  'running' tells by CPU which
    (domain id, vCPU) runs when it begins, 'vendor' whose exit reasons it has:
    'svm' or 'vmx'."""
    return _Parser(running, EXITS[vendor]).parse(data)


def read(path, running=(), vendor='svm'):
    """As parse(), of file 'path'."""
    with open(path, 'rb') as f:
        return parse(f.read(), running, vendor)


def running_of(vcpu_list):
    """Returns who runs where, as parse() wants it, from what `xl vcpu-list`
    printed: for each CPU that exactly one vCPU may use."""
    by_cpu = collections.defaultdict(set)
    shared = False
    for line in vcpu_list.splitlines():
        fields = line.split()
        # Name, id, vCPU, CPU, state, seconds, hard affinity, '/', soft.
        if len(fields) < 7 or not fields[-7].isdigit():
            continue
        domid, vcpu, hard = int(fields[-8]), int(fields[-7]), fields[-3]
        if hard.isdigit():
            by_cpu[int(hard)].add((domid, vcpu))
        else:
            shared = True
    if shared:
        return {}
    return {cpu: vcpus.pop() for cpu, vcpus in by_cpu.items()
            if len(vcpus) == 1}


def print_trace(trace, out=sys.stdout):
    """Prints 'trace' for people."""
    print('records=%d lost=%d%s' % (trace.records, trace.lost,
                                    ' truncated' if trace.truncated else ''),
          file=out)
    for (domid, vcpu), counts in sorted(trace.vcpus.items()):
        who = ('unknown' if domid < 0 else 'idle' if domid == IDLE
               else 'domain %d vcpu %d' % (domid, vcpu))
        print('%s: exits=%d upcalls=%d' % (who, counts.n_exits,
                                           counts.upcalls), file=out)
        for what in 'exits', 'hypercalls':
            for name, n in getattr(counts, what).most_common():
                print('    %-10s %8d %s' % (what, n, name), file=out)
        for vector, n in counts.injected.most_common():
            print('    %-10s %8d vector %#x' % ('injected', n, vector),
                  file=out)


def main():
    parser = argparse.ArgumentParser(description='Counts what each domain '
                                     'asked of the hypervisor.')
    parser.add_argument('file', help="what 'xentrace -e %#x' wrote" % MASK)
    parser.add_argument('--vcpu-list', metavar='FILE',
                        help="what 'xl vcpu-list' printed before")
    parser.add_argument('--vendor', choices=sorted(EXITS), default='svm')
    args = parser.parse_args()
    running = {}
    if args.vcpu_list:
        with open(args.vcpu_list) as f:
            running = running_of(f.read())
    try:
        print_trace(read(args.file, running, args.vendor))
    except (TraceError, OSError) as error:
        print('xentrace: %s' % error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
