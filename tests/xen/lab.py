#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Xen host inside QEMU, for tests and for people.

A Lab is one emulated machine: Xen, Dom0 and the guests that Dom0 makes.  Its
folder holds all that belongs to it: QEMU's sockets and log, Dom0's console
log, and share/, which Dom0 has as /host.  Only what this module started is
ended, by its process id.

    with Lab(folder, images) as lab:
        lab.boot()
        print(lab.dom0('xl info'))
        guest = lab.create('a', 'pvh')
        print(guest.run('uname -r'))

Every wait is for a condition and has a deadline; LabError says what was waited
for.  Nothing here is safe for use by several threads.
"""

import argparse
import fcntl
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# No __pycache__ in the source tree.
sys.dont_write_bytecode = True

from domains import (DOMS_CONFIG, DOMS_NAP, Doms, GUEST_CONFIG,  # noqa: E402
                     GUEST_NAP, Guest)
from util import (LabError, PATIENCE, connect_unix,  # noqa: E402
                  die_with_parent, read_from, size_of, wait_for)

XEN_ARGS = ('console=com1 com1=115200,8n1 dom0_mem=768M,max:768M '
            'dom0_max_vcpus=1 loglvl=warning guest_loglvl=warning noreboot '
            'watchdog=0 spec-ctrl=no bootscrub=0 iommu=1')
DOM0_ARGS = 'console=hvc0 rdinit=/init mitigations=off quiet'
# Without SMAP, which kills Dom0 under emulation, and without AVX, which kills
# PVH guests.
CPU = 'max,-smap,-xsave,-avx,-avx2,-f16c,-fma,-erms,-fsrm'

# The card for DomS, as Dom0 would see it.  It is wired to a host outside of
# the lab's: a network namespace with these addresses.
NIC = '0000:00:05.0'
OUTSIDE = ('198.51.100.1', '2001:db8:0:1::1')
# Runs QEMU in that namespace, which nobody else has, and which goes with it.
ENTER_OUTSIDE = (
    'ip link set lo up && ip tuntap add outside mode tap && '
    'ip addr add %s/24 dev outside && '
    'ip addr add %s/64 dev outside nodad && ip link set outside up && '
    'exec "$@"' % OUTSIDE)


# How nice QEMU's threads are: those of Dom0's CPU and of devices, and others.
# A watchdog in Dom0 must not find a DomS dead that waits for a busy machine.
NICE_DOM0 = -10
NICE_GUESTS = -5


class Lab:
    """One emulated Xen host with 'cpus', in 'folder', from 'images' of
    build-lab.sh.

    With 'apart', the first CPU is Dom0's alone, and the machine runs it first.
    Else, while guests poll, all that a case asks of Dom0 takes a second or
    two."""

    def __init__(self, folder, images, cpus=3, apart=True):
        self.cpus = cpus
        self.apart = apart
        self.folder = os.path.abspath(folder)
        self.images = os.path.abspath(images)
        self.share = os.path.join(self.folder, 'share')
        self.pid = None
        self._process = None
        self._ctl = None
        self._tokens = itertools.count()
        self._lock = None
        self._outsiders = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def path(self, name):
        """Returns the path of the lab's file 'name'."""
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Writes 'text' to file 'name' of the folder shared with Dom0."""
        path = os.path.join(self.share, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)

    def next_token(self):
        """Returns a word that names one command."""
        return '%d-%d' % (os.getpid(), next(self._tokens))

    def logs(self):
        """Returns the paths of all console logs, Dom0's first."""
        paths = [self.path('qemu.log'), self.path('dom0.log')]
        console = os.path.join(self.share, 'console')
        if os.path.isdir(console):
            paths += [os.path.join(console, name)
                      for name in sorted(os.listdir(console))
                      if name.startswith(('guest-', 'watchdog'))]
        return [path for path in paths if os.path.exists(path)]

    # Starting and stopping.

    def boot(self, timeout=PATIENCE, detach=False):
        """Boots the host and returns how many seconds it took until Dom0 takes
        commands.  With 'detach', QEMU outlives this process."""
        self._take_lock()
        for name in ('share', 'dom0.log', 'qemu.log', 'con.sock', 'ctl.sock',
                     'qemu.pid'):
            if os.path.isdir(self.path(name)):
                shutil.rmtree(self.path(name))
            elif os.path.lexists(self.path(name)):
                os.unlink(self.path(name))
        for name in ('ctl', 'in', 'console'):
            os.makedirs(os.path.join(self.share, name))

        start = time.monotonic()
        with open(self.path('qemu.log'), 'w') as log:
            # QEMU keeps the lock as long as it runs.
            self._process = subprocess.Popen(
                self._qemu(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                preexec_fn=None if detach else die_with_parent,
                pass_fds=[self._lock])
        self.pid = self._process.pid
        try:
            wait_for("QEMU's sockets", self._connect, timeout)
            if self.apart:
                wait_for("QEMU's CPUs", self._set_niceness, timeout)
            self._wait_up(timeout)
        except BaseException:
            self.stop()
            raise
        if detach:
            with open(self.path('qemu.pid'), 'w') as f:
                f.write('%d\n' % self.pid)
        return time.monotonic() - start

    def _set_niceness(self):
        """Has the machine run Dom0's CPU before the others, as far as it lets
        one.  Returns false if not all CPUs are there yet."""
        tasks = '/proc/%d/task' % self.pid
        names = {int(task): read_from(os.path.join(tasks, task, 'comm'))
                 for task in os.listdir(tasks)}
        for task, name in names.items():
            first = task == self.pid or name.startswith('CPU 0/')
            try:
                os.setpriority(os.PRIO_PROCESS, task,
                               NICE_DOM0 if first else NICE_GUESTS)
            except (PermissionError, ProcessLookupError):
                pass
        return sum(name.startswith('CPU ')
                   for name in names.values()) == self.cpus

    def join(self):
        """Connects to a host that another process booted with 'detach'."""
        pid = read_from(self.path('qemu.pid')).strip()
        if not pid or self.folder not in self._folder_of(pid):
            raise LabError("no lab runs; start one with 'tests/xen/lab.py up'")
        self.pid = int(pid)
        if not self._connect():
            raise LabError('cannot connect to the lab in %s' % self.folder)

    def disconnect(self):
        """Leaves a detached host running."""
        if self._ctl:
            self._ctl.close()
        self._ctl = self._process = self.pid = None

    def stop(self):
        """Ends QEMU, if it runs, and with it the whole host."""
        for process in self._outsiders:
            process.terminate()
            process.wait()
        self._outsiders = []
        if self.pid is not None:
            try:
                os.kill(self.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            self._wait_end()
            if os.path.exists(self.path('qemu.pid')):
                os.unlink(self.path('qemu.pid'))
        self.disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _wait_end(self):
        if self._process:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        else:
            wait_for('the end of QEMU, process %d' % self.pid,
                     lambda: not self._folder_of(self.pid))

    @staticmethod
    def _folder_of(pid):
        """Returns the current folder of process 'pid', '' if there is none."""
        try:
            return os.readlink('/proc/%s/cwd' % pid)
        except OSError:
            return ''

    def _take_lock(self):
        os.makedirs(self.folder, exist_ok=True)
        self._lock = os.open(self.path('lock'), os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise LabError('a lab already runs in %s' % self.folder) from None

    def _qemu(self):
        def image(name):
            path = os.path.join(self.images, name)
            if not os.path.exists(path):
                raise LabError("%s is missing; run 'make lab'" % path)
            # QEMU splits its -initrd at commas.
            return path.replace(',', ',,')

        initrd = '%s %s,%s' % (image('vmlinux'), DOM0_ARGS, image('dom0.cpio'))
        return ['unshare', '-n', 'sh', '-c', ENTER_OUTSIDE, 'outside',
                'qemu-system-x86_64', '-name', 'lab,debug-threads=on',
                '-accel', 'tcg,thread=multi,tb-size=512',
                '-machine', 'q35', '-device', 'amd-iommu',
                '-cpu', CPU, '-smp', str(self.cpus), '-m', '4096', '-nodefaults',
                '-no-user-config', '-display', 'none', '-no-reboot',
                '-rtc', 'base=utc', '-kernel', image('xen'),
                '-append', XEN_ARGS + ' dom0_vcpus_pin' * self.apart,
                '-initrd', initrd,
                '-chardev', 'socket,id=c0,path=con.sock,server=on,wait=off,'
                            'logfile=dom0.log', '-serial', 'chardev:c0',
                '-chardev', 'socket,id=c1,path=ctl.sock,server=on,wait=off',
                '-serial', 'chardev:c1',
                '-virtfs', 'local,path=share,mount_tag=host,'
                           'security_model=none,id=h0',
                '-netdev', 'tap,id=outside,ifname=outside,script=no,'
                           'downscript=no',
                '-device', 'e1000e,netdev=outside,addr=5,'
                           'mac=00:16:3e:99:00:01']

    # Dom0.

    def _connect(self):
        self._check_alive()
        try:
            self._ctl = connect_unix(self.path('ctl.sock'))
        except OSError:
            return False
        return True

    def _check_alive(self):
        if self._process and self._process.poll() is not None:
            raise LabError('QEMU ended with status %d; see %s'
                           % (self._process.returncode, self.path('qemu.log')))
        if 'Hardware Dom0 ' in read_from(self.path('dom0.log')):
            raise LabError('Dom0 has crashed; see %s' % self.path('dom0.log'))

    def _wait_up(self, timeout):
        """Waits until Dom0's init takes commands."""
        def is_up():
            self._check_alive()
            failed = read_from(os.path.join(self.share, 'failed'))
            if failed:
                raise LabError("Dom0's init: %s" % failed.strip())
            return os.path.exists(os.path.join(self.share, 'up'))
        wait_for('Dom0', is_up, timeout)

    def start(self, command):
        """Starts 'command' in Dom0, and returns a token for finish()."""
        token = self.next_token()
        path = os.path.join(self.share, 'ctl', token)
        self.write('ctl/%s.new' % token, command + '\n')
        os.rename(path + '.new', path + '.todo')
        self._ctl.sendall(b'\n')
        return token

    def finish(self, token, timeout=PATIENCE):
        """Waits until what start() started has ended.  Returns its exit status
        and its output."""
        path = os.path.join(self.share, 'ctl', token)
        command = read_from(path + '.todo').strip()

        def status():
            self._check_alive()
            return read_from(path + '.status')
        found = wait_for('Dom0: %s' % command, status, timeout)
        os.unlink(path + '.todo')
        return int(found), read_from(path + '.out')

    def dom0(self, command, timeout=PATIENCE, check=True):
        """Runs 'command' in Dom0 and returns its output; with 'check' false,
        (status, output)."""
        status, output = self.finish(self.start(command), timeout)
        if not check:
            return status, output
        if status:
            raise LabError('Dom0: %s: exit status %d: %s'
                           % (command, status, output.strip()))
        return output

    # Guests.

    def create(self, name, kind='pvh', memory=192, vcpus=1, calm=False,
               config=()):
        """Makes guest 'name', of 'kind' pvh or pv, with further lines 'config'
        in xl's syntax.  With 'calm', its driver takes long naps.  Does not wait
        until the guest is up."""
        text = GUEST_CONFIG.format(name=name, kind=kind, memory=memory,
                                   vcpus=vcpus, cpus=self._guest_cpus(),
                                   words=('lab.nap=%d' % GUEST_NAP) * calm)
        self.write('guest-%s.cfg' % name,
                   text + ''.join(line + '\n' for line in config))
        log = os.path.join(self.share, 'console', 'guest-%s.log' % name)
        offset = size_of(log)
        self.dom0('xl create /host/guest-%s.cfg' % name)
        return Guest(self, name, self.domid(name), log, offset)

    def _guest_cpus(self):
        """Returns the CPUs of guests, in xl's syntax."""
        return '1-%d' % (self.cpus - 1) if self.apart else 'all'

    def xen_log(self):
        """Returns what Xen and Dom0 have said on their console."""
        return read_from(self.path('dom0.log'))

    def restore(self, guest, path):
        """Restores 'guest' from what 'xl save' wrote to 'path'."""
        self.dom0('xl restore %s' % shlex.quote(path))
        guest.refresh()

    def domid(self, name):
        """Returns the domain id of guest 'name'."""
        return int(self.dom0('xl domid %s' % shlex.quote(name)))

    def domids(self):
        """Returns the ids of all domains but Dom0, dying ones too."""
        rows = self.dom0('xl list').splitlines()[1:]
        # A zombie has no name, but its id is still the fifth from the end.
        return {int(row.split()[-5]) for row in rows} - {0}

    def wait_gone(self, domid):
        """Waits until Xen has nothing left of domain 'domid'."""
        wait_for('the end of domain %d' % domid,
                 lambda: domid not in self.domids())

    def destroy_all(self):
        """Destroys every guest, also those that xl is just about to boot
        again."""
        def none_left():
            domids = self.domids()
            for domid in domids:
                self.dom0('xl destroy %d' % domid, check=False)
            return not domids
        wait_for('the end of all guests', none_left)

    # DomS.

    def start_doms(self, kind='pv', watchdog=True, uplink=False, disk=False,
                   vcpus=1, calm=False, words='', config=()):
        """Starts DomS, of 'kind' pvh or pv, and waits until its switch is up.
        Returns it.  With 'watchdog', doms-watchdog starts it, and starts it
        again.  'uplink' gives it the card, and 'disk' a disk, which stay its
        own until clear().  With 'calm', its switch takes long naps.  'words'
        are added to the kernel's command line, and lines 'config' to the
        configuration."""
        lines = list(config)
        if uplink:
            self.hide_nic()
            lines.append('pci=["%s,permissive=1"]' % NIC)
            words += ' doms.uplink=eth0'
        if disk:
            self.dom0('[ -e /run/doms.img ] || truncate -s 64M /run/doms.img')
            lines.append('disk=["/run/doms.img,raw,xvda,w"]')
        if calm:
            words += ' doms.pmd-maxsleep=%d' % DOMS_NAP
        text = DOMS_CONFIG.format(kind=kind, vcpus=vcpus, words=words,
                                  cpus=self._guest_cpus())
        self.write('doms.cfg', text + ''.join(line + '\n' for line in lines))
        self.dom0('cat /etc/doms/doms.cfg.shipped /host/doms.cfg '
                  '>/etc/doms/doms.cfg')
        if watchdog:
            self.start_watchdog()
        else:
            self.dom0('xl create /etc/doms/doms.cfg')
        return self.wait_doms()

    def hide_nic(self):
        """Has Dom0 leave the card alone, so that it can be DomS's."""
        self.dom0('[ -e /sys/bus/pci/drivers/pciback/%s ] || '
                  '{ modprobe xen-pciback && xl pci-assignable-add %s; }'
                  % (NIC, NIC))

    def start_watchdog(self):
        """Starts doms-watchdog in Dom0."""
        self.dom0('setsid doms-watchdog </dev/null '
                  '>>/host/console/watchdog.log 2>&1 & '
                  'echo $! >/run/watchdog.pid')

    def stop_watchdog(self):
        """Ends doms-watchdog, if start_watchdog() started one.  DomS goes
        on."""
        self.dom0('[ -e /run/watchdog.pid ] || exit 0; '
                  'pid=$(cat /run/watchdog.pid); kill $pid; '
                  'while kill -0 $pid; do sleep 0.1; done; '
                  'rm /run/watchdog.pid')

    def wait_doms(self, other_than=None, timeout=PATIENCE):
        """Waits until a DomS, whose domain id is not 'other_than', has a switch
        that is up.  Returns it."""
        domid = int(self.dom0(
            'end=$((SECONDS + %d)); while sleep 0.1; do '
            '[ $SECONDS -lt $end ] || { echo "no DomS is up"; exit 1; }; '
            'd=$(xl domid doms 2>/dev/null) && [ "$d" != "%s" ] && '
            'xenstore-exists /local/domain/$d/data/doms/heartbeat && '
            '{ echo $d; exit; }; done' % (timeout, other_than or ''),
            timeout + 10))
        log = os.path.join(self.share, 'console', 'guest-doms.log')
        return Doms(self, 'doms', domid, log, 0)

    def attach(self, name, *words):
        """Gives guest 'name' a port, with 'words' of doms-ctl attach."""
        return self.dom0('doms-ctl attach %s %s' % (name, ' '.join(words)))

    def detach(self, name):
        """Takes the port of guest 'name' away."""
        return self.dom0('doms-ctl detach %s' % name)

    def clear(self):
        """Undoes all that a case may have left: guests, DomS and its
        watchdog, ports."""
        self.stop_watchdog()
        self.destroy_all()
        self.dom0('rm -rf /etc/doms/ports/* /run/doms.img')

    # The host outside.

    def outside(self, command, timeout=PATIENCE, check=True):
        """Runs 'command' on the host at the other end of the card's wire.
        Returns its output; with 'check' false, (status, output)."""
        done = subprocess.run(self._outside(command), timeout=timeout,
                              stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if not check:
            return done.returncode, done.stdout
        if done.returncode:
            raise LabError('outside: %s: exit status %d: %s'
                           % (command, done.returncode, done.stdout.strip()))
        return done.stdout

    def start_outside(self, command):
        """Starts 'command' there.  It ends with the lab at the latest; who
        wants that sooner calls terminate() of what this returns."""
        process = subprocess.Popen(self._outside('exec ' + command),
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL,
                                   preexec_fn=die_with_parent)
        self._outsiders.append(process)
        return process

    def _outside(self, command):
        return ['nsenter', '--net=/proc/%d/ns/net' % self.pid, 'sh', '-c',
                command]

    # Counting.

    def counters(self):
        """Returns what a leak would add to: a dictionary of 'nodes' in
        xenstore, 'domains' besides Dom0 and 'zombies' among them, and 'grants'
        that are mapped."""
        rows = self.dom0('xl list').splitlines()[1:]
        states = [row.split()[-2] for row in rows if row.split()[-5] != '0']
        return {'nodes': int(self.dom0('xenstore-ls / | wc -l')),
                'domains': len(states),
                'zombies': sum('d' in state for state in states),
                'grants': sum(self.grants().values())}

    def grants(self):
        """Returns how many grants of each domain others have mapped: a
        dictionary by domain id."""
        start = size_of(self.path('dom0.log'))
        self.dom0('xl debug-keys g')

        def report():
            text = read_from(self.path('dom0.log'), start)
            return text if 'gnttab_usage_print_all ] done' in text else None
        counts, domid = {}, None
        for line in wait_for("Xen's list of grants", report).splitlines():
            match = re.search(r'grant-table for remote d(\d+)', line)
            if match:
                domid = int(match.group(1))
                counts[domid] = 0
            elif domid is not None and re.search(r'\(XEN\) \[0x', line):
                counts[domid] += 1
        return counts


def build_folder():
    """Returns the build folder: DOMS_BUILD, else build/ of this tree."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    return os.environ.get('DOMS_BUILD') or os.path.join(top, 'build')


def open_lab(name, **kwargs):
    """Returns the lab 'name' of the build folder, with 'kwargs' of Lab:
    people's is 'people'."""
    images = os.path.join(build_folder(), 'xen-lab')
    return Lab(os.path.join(images, 'run-' + name), images, **kwargs)


def parse():
    parser = argparse.ArgumentParser(
        description='A Xen host inside QEMU that stays up, to look around in.')
    words = parser.add_subparsers(dest='word', required=True)
    words.add_parser('up', help='boot it')
    words.add_parser('down', help='end it')
    word = words.add_parser('create', help='make a guest, and wait for it')
    word.add_argument('name')
    word.add_argument('kind', choices=['pvh', 'pv'], nargs='?', default='pvh')
    word.add_argument('config', nargs='*', help="further lines of xl's config")
    word = words.add_parser('run', help='run a command in Dom0 or a guest')
    word.add_argument('where', help="'dom0' or a guest's name")
    word.add_argument('command', nargs='+')
    return parser.parse_args()


def run_in(lab, where, command):
    """Runs 'command' in domain 'where', prints its output, and returns its
    exit status."""
    if where == 'dom0':
        status, output = lab.dom0(command, check=False)
    else:
        log = os.path.join(lab.share, 'console', 'guest-%s.log' % where)
        guest = Guest(lab, where, lab.domid(where), log, 0)
        status, output = guest.run(command, check=False)
    sys.stdout.write(output)
    return status


def main():
    args = parse()
    lab = open_lab('people')
    try:
        if args.word == 'up':
            print('up in %.1f s' % lab.boot(detach=True))
            return 0
        lab.join()
        if args.word == 'down':
            lab.stop()
        elif args.word == 'create':
            lab.create(args.name, args.kind, config=args.config).wait_up()
        else:
            return run_in(lab, args.where, ' '.join(args.command))
        return 0
    except LabError as error:
        print('lab: %s' % error, file=sys.stderr)
        return 1
    finally:
        lab.disconnect()


if __name__ == '__main__':
    sys.exit(main())
