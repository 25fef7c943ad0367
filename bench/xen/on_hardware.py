#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures one network between two guests of a real Xen host: what bench-xen
measures in the lab; see bench/README.md.

Runs in Dom0, as root.  The guests run already, with the network that is to be
measured, and root of Dom0 can ssh to them.  It changes nothing but /run of the
guests, where it puts udp-blast.
"""

import argparse
import itertools
import json
import os
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, '..', '..', 'tests', 'xen')
sys.path[:0] = [HERE, TESTS]
# No __pycache__ in the source tree.
sys.dont_write_bytecode = True

from lab import LabError  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import xentrace  # noqa: E402

SSH = ['ssh', '-o', 'BatchMode=yes', '-o', 'ControlMaster=auto',
       '-o', 'ControlPersist=60']


def run(words, timeout, check, what):
    """Runs program 'words'.  Returns its output; with 'check' false, (status,
    output)."""
    try:
        done = subprocess.run(words, timeout=timeout, check=False, text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        raise LabError('%s: not within %g s' % (what, timeout)) from None
    if not check:
        return done.returncode, done.stdout
    if done.returncode:
        raise LabError('%s: exit status %d: %s'
                       % (what, done.returncode, done.stdout.strip()))
    return done.stdout


class Host:
    """The Xen host of whose Dom0 this is."""

    def __init__(self, folder):
        self.share = self.dom0_share = folder
        self._tokens = itertools.count()

    def next_token(self):
        return '%d-%d' % (os.getpid(), next(self._tokens))

    def dom0(self, command, timeout=90, check=True):
        return run(['bash', '-c', command], timeout, check,
                   'Dom0: ' + command)


class Guest:
    """A guest that ssh reaches at 'target', for example root@10.0.0.1."""

    def __init__(self, host, text, folder):
        self.name, _, self.target = text.partition('=')
        if not self.target:
            raise LabError("%s: should be NAME=USER@HOST, as web1=root@web1"
                           % text)
        self.domid = int(host.dom0('xl domid ' + shlex.quote(self.name)))
        self.socket = os.path.join(folder, self.name)

    def run(self, command, timeout=90, check=True):
        # The network measured may be the one that ssh takes; it idles then.
        return run([*SSH, '-o', 'ControlPath=' + self.socket, self.target,
                    'PATH=/run/bench-xen:$PATH; ' + command], timeout, check,
                   'guest %s: %s' % (self.name, command))

    def prepare(self, program):
        """Gives the guest udp-blast, and checks that it has the rest."""
        self.run('mkdir -p /run/bench-xen')
        with open(program, 'rb') as f:
            subprocess.run([*SSH, '-o', 'ControlPath=' + self.socket,
                            self.target, 'cat >/run/bench-xen/udp-blast && '
                            'chmod 755 /run/bench-xen/udp-blast'],
                           stdin=f, check=True)
        for word in 'iperf3', '/usr/bin/ping', 'pidof':
            self.run('command -v %s >/dev/null || '
                     '{ echo "install %s"; exit 1; }' % (word, word))

    def clear(self):
        """Removes what prepare() put there."""
        self.run('for p in $(pidof iperf3); do kill $p; done; '
                 'rm -rf /run/bench-xen; cd /run; '
                 'rm -f iperf.* blast.* sink.* ping.out', check=False)


class Domain:
    """A switching domain into which nobody needs to look."""

    def __init__(self, host, name):
        self.name = name
        self.domid = int(host.dom0('xl domid ' + shlex.quote(name)))


def parse():
    parser = argparse.ArgumentParser(
        description='Measures the network between two guests of this Xen '
                    'host. Run it in Dom0, once for each network.')
    parser.add_argument('--network', required=True,
                        help="netback-dom0, netback-domain, doms, or what "
                             "else it is: its name in results")
    parser.add_argument('--title', help='its title in the table')
    parser.add_argument('--sender', required=True, metavar='NAME=USER@HOST',
                        help='a guest, and where ssh reaches it')
    parser.add_argument('--receiver', required=True, metavar='NAME=USER@HOST',
                        help='another guest')
    parser.add_argument('--address', required=True,
                        help="the receiver's address on the network measured")
    parser.add_argument('--switch', metavar='NAME',
                        help='the domain that switches, unless Dom0 does')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--results', default='results.jsonl',
                        help='where to append (results.jsonl)')
    return parser.parse_args()


def check_pinned(host, guests, switch):
    """Says what is not pinned: its exits may count for somebody else."""
    running = xentrace.running_of(host.dom0('xl vcpu-list'))
    pinned = {domid for domid, _ in running.values()}
    for domain in [*guests, *([switch] if switch else [])]:
        if domain.domid not in pinned:
            print('bench-xen: domain %s has no CPU to itself; '
                  "'xl vcpu-pin' every vCPU of this host to a CPU of its own "
                  'for exact counts' % domain.name, file=sys.stderr)


def main():
    args = parse()

    def say(what):
        print('%s: %s' % (args.network, what), file=sys.stderr)

    with tempfile.TemporaryDirectory(dir='/run') as folder:
        host = Host(folder)
        guests = [Guest(host, text, folder)
                  for text in (args.sender, args.receiver)]
        switch = Domain(host, args.switch) if args.switch else None
        check_pinned(host, guests, switch)
        program = os.path.join(folder, 'udp-blast')
        run(['gcc', '-O2', '-static', '-o', program,
             os.path.join(TESTS, 'udp-blast.c')], 90, True, 'gcc')
        try:
            for guest in guests:
                guest.prepare(program)
            for number in range(args.rounds):
                result = {'network': args.network, 'round': number + 1,
                          'title': args.title or args.network,
                          'seconds': args.seconds, 'host': os.uname().nodename}
                told = (host, guests, switch, args.address, args.seconds)
                result['row'] = measure.speed(*told, say=say)
                row, more = measure.trace(*told, spin=lambda: None, say=say)
                result['row'].update(row)
                result.update(more)
                with open(args.results, 'a') as out:
                    out.write(json.dumps(result) + '\n')
        finally:
            for guest in guests:
                guest.clear()
    sys.stdout.write(report.table(report.load(args.results)))
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (LabError, subprocess.CalledProcessError) as e:
        print('bench-xen: %s' % e, file=sys.stderr)
        sys.exit(1)
