# SPDX-License-Identifier: Apache-2.0
"""The domains of a lab: guests, and DomS.

Lab.create() and Lab.start_doms() make them.  Commands go in over a domain's
console, and out come their output and exit status.
"""

import json
import re
import shlex

from util import (LabError, PATIENCE, read_from, size_of, wait_for,
                  wait_up_to)

# After how many seconds a command that has not begun is sent again, and how
# often at most.
RESEND = 10
TRIES = 9

# How long a guest's driver and DomS sleep at most when they find no packets,
# if they are to be calm, in microseconds.  As shipped they look so often that
# they leave little of the emulated CPUs to others.
GUEST_NAP = 20000
DOMS_NAP = 1000

GUEST_CONFIG = '''\
name="{name}"
type="{kind}"
kernel="/guest/vmlinux"
ramdisk="/guest/guest.cpio"
memory={memory}
vcpus={vcpus}
cpus="{cpus}"
cmdline="console=hvc0 quiet mitigations=off rdinit=/init lab.name={name} {words}"
tsc_mode="native"
on_crash="destroy"
'''

# What the lab has otherwise than xen-config/doms.cfg, at whose end this
# stands.
DOMS_CONFIG = '''
type="{kind}"
vcpus={vcpus}
cpus="{cpus}"
tsc_mode="native"
cmdline="console=hvc0 quiet mitigations=off rdinit=/init panic=-1 oops=panic \
cryptomgr.notests doms.console=commands {words}"
'''.replace('\\\n', '')


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
        """Waits until the guest has loaded its drivers and has a shell.

        Now and then the emulated CPU makes a PVH guest triple-fault, which Xen
        takes for a wish to reboot: that says nothing about us, and the guest
        comes up in a new domain."""
        wait_for('the shell of guest %s' % self.name,
                 lambda: '@@up\n' in read_from(self.log, self.offset),
                 timeout)
        if 'd%dv0 Triple fault' % self.domid in self.lab.xen_log():
            self.refresh()

    def refresh(self):
        """Finds the domain of this name anew, after it was rebooted or
        restored.  Returns its id."""
        self.domid = self.lab.domid(self.name)
        self._tty = None
        return self.domid

    def reboot(self):
        """Has xl reboot the guest, and waits until it has a shell in its new
        domain, and Xen nothing left of the old one."""
        self.offset = size_of(self.log)
        self.lab.dom0('xl reboot %s' % self.name)
        self.lab.wait_gone(self.domid)
        self.wait_up()
        self.refresh()

    def _console(self):
        """Returns the path of the console's pty in Dom0."""
        if self._tty is None:
            self._tty = self.lab.dom0(
                'xenstore-read /local/domain/%d/console/tty'
                % self.domid).strip()
        return self._tty

    # Commands.

    def run(self, command, timeout=PATIENCE, check=True):
        """Runs 'command' in the guest's shell, over its console, and returns
        its output; with 'check' false, (status, output)."""
        token = self.lab.next_token()
        # A console may lose what comes in while its guest is busy: the line is
        # sent again until it has begun, and does its work but once.
        line = ('\n[ -e /run/{0} ] || {{ >/run/{0}; echo "@@begin "{0}; '
                'sh -c {1} </dev/null 2>&1; echo "@@end "{0} $?; }}\n'
                .format(token, shlex.quote(command)))
        # The line discipline of the guest's console takes no longer line.
        if len(line) > 4000:
            raise LabError('guest %s: command of %d bytes, of 4000 at most'
                           % (self.name, len(line)))
        self.lab.write('in/' + token, line)
        start = size_of(self.log)
        begun = False
        for _ in range(TRIES):
            self.lab.dom0('echo "$(</host/in/%s)" >%s'
                          % (token, self._console()))
            begun = wait_up_to(RESEND, lambda: '@@begin %s\n' % token
                               in read_from(self.log, start))
            if begun:
                break
        if not begun:
            raise LabError('guest %s does not begin: %s'
                           % (self.name, command))
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

    def start(self, command):
        """Starts 'command' in the guest's shell, and returns a token for
        finish()."""
        token = self.lab.next_token()
        job = ('sh -c %s >/run/%s 2>&1; echo $? >>/run/%s; echo "@@done "%s'
               % (shlex.quote(command), token, token, token))
        offset = size_of(self.log)
        self.run('(%s) </dev/null >/dev/console 2>&1 &' % job)
        return token, offset

    def is_done(self, job):
        """Returns whether what start() started has ended."""
        token, offset = job
        return '@@done %s\n' % token in read_from(self.log, offset)

    def finish(self, job, timeout=PATIENCE, check=True):
        """Waits until what start() started has ended, and returns its output;
        with 'check' false, (status, output)."""
        token = job[0]
        wait_for('guest %s: job %s' % (self.name, token),
                 lambda: self.is_done(job), timeout)
        *lines, status = self.run('cat /run/%s' % token).splitlines(True)
        status, output = int(status), ''.join(lines)
        if not check:
            return status, output
        if status:
            raise LabError('guest %s: a job: exit status %d: %s'
                           % (self.name, status, output.strip()))
        return output

    # The network.

    def address(self, *addresses, dev='eth0', mtu=None):
        """Sets 'dev' up with 'addresses', each as 10.0.0.1/24, once it is
        there."""
        commands = ['until [ -e /sys/class/net/%s ]; do usleep 20000; done'
                    % dev]
        if mtu:
            commands.append('/bin/ip link set %s mtu %d' % (dev, mtu))
        commands.append('/bin/ip link set %s up' % dev)
        for address in addresses:
            nodad = ' nodad' if ':' in address else ''
            commands.append('/bin/ip addr add %s dev %s%s' % (address, dev, nodad))
        self.run(' && '.join(commands))

    def reach(self, target, timeout=PATIENCE):
        """Waits until 'target' answers a ping."""
        self.run('n=%d; until ping -c 1 -W 1 %s; do n=$((n - 1)); '
                 '[ $n -gt 0 ] || exit 1; sleep 0.2; done >/dev/null'
                 % (timeout, target), 2 * timeout)

    def ping(self, target, count=10, interval=0.2, size=56, options=''):
        """Pings 'target'.  Returns a dictionary of 'sent', 'received' and
        'rtt_us', the mean, or None if nothing came back."""
        # The shell would take busybox's ping.
        output = self.run('/usr/bin/ping -q -c %d -i %g -s %d -W 5 %s %s'
                          % (count, interval, size, options, target),
                          PATIENCE + count * interval, check=False)[1]
        counts = re.search(r'(\d+) packets transmitted, (\d+) received', output)
        if not counts:
            raise LabError('guest %s: ping %s: %s'
                           % (self.name, target, output.strip()))
        mean = re.search(r'= [\d.]+/([\d.]+)/', output)
        return {'sent': int(counts.group(1)), 'received': int(counts.group(2)),
                'rtt_us': round(1000 * float(mean.group(1))) if mean else None}

    def serve(self):
        """Starts an iperf3 server in the guest, unless one runs."""
        self.run('pidof iperf3 || iperf3 -s -D; '
                 'until netstat -ltn | grep -q ":5201 "; '
                 'do usleep 20000; done')

    def start_iperf(self, target, seconds=5, options=''):
        """Starts iperf3 to the server at 'target'.  Returns a token for
        finish_iperf()."""
        return self.start('iperf3 -J -c %s -t %d %s'
                          % (target, seconds, options))

    def finish_iperf(self, job, timeout=PATIENCE):
        """Waits for the end of what start_iperf() started.  Returns what iperf3
        has to say, as a dictionary."""
        return parse_iperf(self.finish(job, timeout, check=False)[1], self.name)

    def iperf(self, target, seconds=5, options=''):
        """Runs iperf3 to the server at 'target'.  Returns what it has to say,
        as a dictionary; see mbit()."""
        return self.finish_iperf(self.start_iperf(target, seconds, options),
                                 PATIENCE + seconds)

    # Ends.

    def crash(self):
        """Crashes the guest's kernel, and waits until the domain is gone."""
        self.lab.write('in/crash', 'echo c >/proc/sysrq-trigger\n')
        self.lab.dom0('cat /host/in/crash >%s' % self._console())
        self.lab.wait_gone(self.domid)

    def destroy(self):
        """Ends the guest at once, as a crash would, and waits until Xen has
        nothing left of it."""
        self.lab.dom0('xl destroy %d' % self.domid)
        self.lab.wait_gone(self.domid)


class Doms(Guest):
    """The switch domain, that Lab.start_doms() made."""

    def vsctl(self, arguments, **kwargs):
        """Runs ovs-vsctl with 'arguments'."""
        return self.run('ovs-vsctl -t 30 ' + arguments, **kwargs)

    def appctl(self, arguments, **kwargs):
        """Asks domsd with ovs-appctl."""
        return self.run('ovs-appctl -T 30 -t domsd ' + arguments, **kwargs)

    def ports(self):
        """Returns what domsd tells of its ports: a dictionary by name."""
        return {port['name']: port
                for port in json.loads(self.appctl('doms/status'))}

    def kill_domsd(self):
        """Kills domsd, which init starts again."""
        self.run('kill -9 $(cat /run/openvswitch/domsd.pid)')


def parse_iperf(output, name):
    """Returns iperf3's JSON 'output' as a dictionary; fails, naming the domain
    'name', if it tells of an error."""
    try:
        result = json.loads(output[output.index('{'):])
    except ValueError:
        raise LabError('iperf3 in %s: %s' % (name, output.strip())) from None
    if 'error' in result:
        raise LabError('iperf3 in %s: %s' % (name, result['error']))
    return result


def mbit(result):
    """Returns the megabits a second that the receiver of iperf3's 'result'
    got."""
    end = result['end']
    total = end.get('sum_received') or end['sum']
    return round(total['bits_per_second'] / 1e6, 1)
