# SPDX-License-Identifier: Apache-2.0
"""What is measured, in which order, and what of it counts.

All switches run all the time, but only the measured one may use a CPU.  A round
measures everything once; in it, all switches that can do a case are measured
one right after the other, so that the host has little time to move CPUs
meanwhile.  Where it did so nevertheless, or something else took the CPUs, ours
and the peer are measured once more.
"""

import datetime
import json
import os
import sys
import time

from . import flows, kernel, machine, stacks, summary, switches
from .machine import BenchError

SWITCHES = (switches.Doms, switches.OvsDpdk, switches.VhostBridge,
            switches.Memif, switches.DomsSetter, switches.DomsSetterApart,
            kernel.LinuxBridge, kernel.OvsTap,
            kernel.OvsAfxdp, kernel.OvsTapTso, kernel.DomsTap)
CASES = tuple(flows.CASES) + stacks.CASES
SIZES = (64, 512, 1500, 9000)
# Where guests copy frames in and read them whole, too.
COPIED = ('in_port',)
COPIED_SIZES = (512, 1500, 9000)
# Where guests have packed rings, too.
PACKED = ('s2h',)


def guests_of(case, size):
    """Returns the kinds of guests that a case is measured with."""
    kinds = ['built']
    if case in COPIED and size in COPIED_SIZES:
        kinds.append('copied')
    if case in PACKED:
        kinds.append('packed')
    return kinds


class Rounds:
    """All rounds of one benchmark.  'args' is what the user asked for."""

    def __init__(self, args, settings):
        self.args = args
        self.out = os.path.join(args.build, 'bench')
        os.makedirs(self.out, exist_ok=True)
        self.results = open(os.path.join(self.out, 'results.jsonl'), 'w',
                            encoding='utf-8')
        self.machine = machine.description()
        self.machine['huge_pages'] = bool(settings.huge)
        self.runs = []
        self.began = time.monotonic()
        self.switches = [kind(settings) for kind in SWITCHES
                         if kind.name in summary.OURS or not args.peers
                         or kind.name in args.peers]
        self.groups = list(self.all_groups())
        used = [switch for group in self.groups for switch in group[3]]
        self.switches = [s for s in self.switches if s in used]
        lacks = switches.DomsSetterApart.lacks()
        if 's2h' in args.cases and lacks:
            self.say(lacks)

    def say(self, text):
        print('bench: %4d s  %s' % (time.monotonic() - self.began, text),
              file=sys.stderr, flush=True)

    def all_groups(self):
        """Yields what is measured in a round: a case, a size, how guests make
        frames, and the switches that can do it.  Large frames come last, as
        some switches have to be set up anew for them."""
        wanted = [size for size in self.args.sizes if size <= 1500]
        large = [size for size in self.args.sizes if size > 1500]
        for sizes in (wanted, [0], large):
            for case in self.args.cases:
                for size in sizes:
                    for guest in guests_of(case, size):
                        able = [switch for switch in self.switches
                                if switch.can(case, size, guest)]
                        if len(able) > 1 and any(
                                s.name in summary.OURS for s in able):
                            yield case, size, guest, able

    def start(self):
        for switch in self.switches:
            self.say('starting ' + switch.title)
            switch.start()

    def measure(self, number, case, size, guest, switch):
        """Measures one switch once, and returns the run."""
        run = {'round': number, 'number': len(self.runs),
               'switch': switch.name, 'case': case, 'size': size,
               'guest': guest, 'unit': summary.unit_of(case),
               'time': datetime.datetime.now().isoformat('T', 'seconds')}
        steal = 0
        try:
            switch.prepare(case, size, guest)
            switch.wake()
            steal = machine.steal_ms()
            run.update(switch.measure(case, size, guest, self.args.seconds))
            # The generator knows nothing of rings.
            run['guest'] = guest
        except BenchError as error:
            run['error'] = str(error)
            self.say('%s, %s %d: %s' % (switch.name, case, size, error))
        finally:
            switch.rest()
        run['steal_ms'] = machine.steal_ms() - steal
        run['settings'] = switch.about()
        run['machine'] = self.machine
        self.runs.append(run)
        self.results.write(json.dumps(run) + '\n')
        self.results.flush()
        return run

    def group(self, number, case, size, guest, able):
        """Measures each switch that is able to do a case.  Returns the
        runs."""
        # Each round begins with another one.
        first = number % len(able)
        runs = [self.measure(number, case, size, guest, switch)
                for switch in able[first:] + able[:first]]
        ours = next(s for s in able if s.name in summary.OURS)
        for switch in able:
            if switch is ours or self.is_late() \
                    or any(run.get('error') for run in runs
                           if run['switch'] == switch.name):
                continue
            if not any(run['switch'] == switch.name
                       for _, _, run in summary.pairs_of(runs)):
                runs += [self.measure(number, case, size, guest, one)
                         for one in (ours, switch)]
        return runs

    def is_late(self):
        """Tells whether there is no time to measure anything again."""
        done = len({(run['round'], run['case'], run['size'], run['guest'])
                    for run in self.runs})
        share = done / (len(self.groups) * self.args.rounds)
        used = (time.monotonic() - self.began) / (60 * self.args.minutes)
        return used > 0.1 + 0.8 * share

    def all(self):
        for number in range(self.args.rounds):
            for i, (case, size, guest, able) in enumerate(self.groups):
                runs = self.group(number, case, size, guest, able)
                self.say('round %d/%d, %d/%d  %s  %s'
                         % (number + 1, self.args.rounds, i + 1,
                            len(self.groups), summary.title(case, size, guest),
                            '  '.join(summary.brief(run) for run in runs)))
        return self.runs
