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
import ctypes
import fcntl
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

# How long to wait for anything, in seconds, unless the caller says otherwise.
# A guest that boots in 5 s on an idle machine takes 24 s on a loaded one.
PATIENCE = 90
# How often to look again, in seconds.
INTERVAL = 0.02

XEN_ARGS = ('console=com1 com1=115200,8n1 dom0_mem=768M,max:768M '
            'dom0_max_vcpus=1 loglvl=warning guest_loglvl=warning noreboot '
            'watchdog=0 spec-ctrl=no bootscrub=0')
DOM0_ARGS = 'console=hvc0 rdinit=/init mitigations=off quiet'
# Without SMAP, which kills Dom0 under emulation, and without AVX, which kills
# PVH guests.
CPU = 'max,-smap,-xsave,-avx,-avx2,-f16c,-fma'

GUEST_CONFIG = '''\
name="{name}"
type="{kind}"
kernel="/guest/vmlinux"
ramdisk="/guest/guest.cpio"
memory={memory}
vcpus={vcpus}
cmdline="console=hvc0 quiet mitigations=off rdinit=/init lab.name={name}"
tsc_mode="native"
on_crash="destroy"
'''


class LabError(Exception):
    """What failed, on what, and where to look."""


def wait_for(what, condition, timeout=PATIENCE):
    """Returns what 'condition' returns, once that is true.  Fails, naming
    'what', after 'timeout' seconds."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise LabError('%s: not within %g s' % (what, timeout))
        time.sleep(INTERVAL)


def read_from(path, offset=0):
    """Returns the text of 'path' from byte 'offset', '' if there is none."""
    try:
        with open(path, 'rb') as f:
            f.seek(offset)
            return f.read().decode(errors='replace').replace('\r', '')
    except FileNotFoundError:
        return ''


def size_of(path):
    """Returns the size of 'path' in bytes, 0 if it does not exist."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def die_with_parent():
    """Has the kernel end this process when the one that started it dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def connect_unix(path):
    """Connects to the UNIX socket 'path', however long its name is."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(os.path.dirname(path), os.O_PATH)
    try:
        sock.connect('/proc/self/fd/%d/%s' % (folder, os.path.basename(path)))
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
    return sock


class Guest:
    """A guest that Lab.create() made.  'name' and 'domid' are Xen's."""

    def __init__(self, lab, name, domid, log, offset):
        self.lab = lab
        self.name = name
        self.domid = domid
        # What this incarnation wrote on its console begins at 'offset'.
        self.log = log
        self.offset = offset
        self._tty = None

    def wait_up(self, timeout=PATIENCE):
        """Waits until the guest has loaded its drivers and has a shell."""
        def is_up():
            return '@@up\n' in read_from(self.log, self.offset)
        wait_for('the shell of guest %s' % self.name, is_up, timeout)

    def run(self, command, timeout=PATIENCE, check=True):
        """Runs 'command' in the guest's shell, over its console, and returns
        its output; with 'check' false, (status, output)."""
        token = self.lab.next_token()
        line = ('echo "@@begin "%s; sh -c %s </dev/null 2>&1; '
                'echo "@@end "%s $?\n' % (token, shlex.quote(command), token))
        # The line discipline of the guest's console takes no longer line.
        if len(line) > 4000:
            raise LabError('guest %s: command of %d bytes, of 4000 at most'
                           % (self.name, len(line)))
        self.lab.write('in/' + token, line)
        start = size_of(self.log)
        if self._tty is None:
            self._tty = self.lab.dom0(
                'xenstore-read /local/domain/%d/console/tty'
                % self.domid).strip()
        self.lab.dom0('cat /host/in/%s >%s' % (token, self._tty))

        pattern = re.compile(r'@@begin %s\n(.*?)@@end %s (\d+)\n'
                             % (token, token), re.S)
        found = wait_for('guest %s: %s' % (self.name, command),
                         lambda: pattern.search(read_from(self.log, start)),
                         timeout)
        status, output = int(found.group(2)), found.group(1)
        if not check:
            return status, output
        if status:
            raise LabError('guest %s: %s: exit status %d: %s'
                           % (self.name, command, status, output.strip()))
        return output

    def destroy(self):
        """Ends the guest at once, as a crash would, and waits until Xen has
        nothing left of it."""
        self.lab.dom0('xl destroy %d' % self.domid)
        self.lab.wait_gone(self.domid)


class Lab:
    """One emulated Xen host, in 'folder', from 'images' of build-lab.sh."""

    def __init__(self, folder, images):
        self.folder = os.path.abspath(folder)
        self.images = os.path.abspath(images)
        self.share = os.path.join(self.folder, 'share')
        self.pid = None
        self._process = None
        self._ctl = None
        self._tokens = itertools.count()
        self._lock = None

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
                      if name.startswith('guest-')]
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
            self._wait_up(timeout)
        except BaseException:
            self.stop()
            raise
        if detach:
            with open(self.path('qemu.pid'), 'w') as f:
                f.write('%d\n' % self.pid)
        return time.monotonic() - start

    def attach(self):
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
        return ['qemu-system-x86_64', '-accel', 'tcg,thread=multi,tb-size=512',
                '-cpu', CPU, '-smp', '4', '-m', '4096', '-nodefaults',
                '-no-user-config', '-display', 'none', '-no-reboot',
                '-rtc', 'base=utc', '-kernel', image('xen'),
                '-append', XEN_ARGS, '-initrd', initrd,
                '-chardev', 'socket,id=c0,path=con.sock,server=on,wait=off,'
                            'logfile=dom0.log', '-serial', 'chardev:c0',
                '-chardev', 'socket,id=c1,path=ctl.sock,server=on,wait=off',
                '-serial', 'chardev:c1',
                '-virtfs', 'local,path=share,mount_tag=host,'
                           'security_model=none,id=h0']

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

        def status():
            self._check_alive()
            return read_from(path + '.status')
        return (int(wait_for('Dom0: %s' % read_from(path + '.sh').strip(),
                             status, timeout)),
                read_from(path + '.out'))

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

    def create(self, name, kind='pvh', memory=192, vcpus=1, config=()):
        """Makes guest 'name', of 'kind' pvh or pv, with further lines 'config'
        in xl's syntax.  Does not wait until the guest is up."""
        text = GUEST_CONFIG.format(name=name, kind=kind, memory=memory,
                                   vcpus=vcpus)
        self.write('guest-%s.cfg' % name,
                   text + ''.join(line + '\n' for line in config))
        log = os.path.join(self.share, 'console', 'guest-%s.log' % name)
        offset = size_of(log)
        self.dom0('xl create /host/guest-%s.cfg' % name)
        return Guest(self, name, self.domid(name), log, offset)

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
        """Destroys every guest."""
        domids = self.domids()
        for domid in domids:
            self.dom0('xl destroy %d' % domid)
        for domid in domids:
            self.wait_gone(domid)


def build_folder():
    """Returns the build folder: DOMS_BUILD, else build/ of this tree."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    return os.environ.get('DOMS_BUILD') or os.path.join(top, 'build')


def open_lab(name):
    """Returns the lab 'name' of the build folder: people's is 'people'."""
    images = os.path.join(build_folder(), 'xen-lab')
    return Lab(os.path.join(images, 'run-' + name), images)


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
        lab.attach()
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
