# SPDX-License-Identifier: Apache-2.0
"""The machine that is measured on: huge pages, what its CPUs lose to others,
and what is installed."""

import contextlib
import os
import platform
import subprocess

HUGE_SYSFS = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'
HUGE_BYTES = 2 << 20


class BenchError(Exception):
    """Why the benchmark cannot go on, for its user."""


def read(path):
    with open(path, encoding='utf-8', errors='replace') as f:
        return f.read().strip()


@contextlib.contextmanager
def huge_pages(wanted, folder):
    """Has 'wanted' huge pages in a file system of their own, mounted at
    'folder', and gives back afterwards what it took.  Yields the folder, or
    None if there are none to be had."""
    if not os.path.exists(HUGE_SYSFS):
        yield None
        return
    before = int(read(HUGE_SYSFS))
    mounted = False
    try:
        set_huge_pages(before + wanted)
        if int(read(HUGE_SYSFS)) >= before + wanted:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            mounted = subprocess.run(
                ['mount', '-t', 'hugetlbfs', '-o', 'pagesize=2M', 'none',
                 folder], check=False, stderr=subprocess.DEVNULL
            ).returncode == 0
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(['umount', folder], check=False)
        set_huge_pages(before)


def set_huge_pages(number):
    with contextlib.suppress(OSError):
        with open(HUGE_SYSFS, 'w', encoding='ascii') as f:
            f.write('%d' % number)


def cpu_times():
    """Returns the milliseconds that each CPU, by its number, has been in each
    of /proc/stat's states since it started."""
    times = {}
    for line in read('/proc/stat').splitlines():
        words = line.split()
        if words[0].startswith('cpu') and words[0] != 'cpu':
            times[int(words[0][3:])] = [int(word) * 10 for word in words[1:9]]
    return times


def steal_ms():
    """Returns the milliseconds that all CPUs have lost to the host."""
    return sum(states[7] for states in cpu_times().values())


def busy_ms():
    """Returns the milliseconds that each CPU was neither idle nor waiting."""
    return {cpu: sum(states) - states[3] - states[4]
            for cpu, states in cpu_times().items()}


def polling_thread(pid):
    """Returns the thread of process 'pid' that moves frames: one that polls,
    by its name, or else the main thread."""
    with contextlib.suppress(OSError):
        for tid in os.listdir('/proc/%d/task' % pid):
            name = read('/proc/%d/task/%s/comm' % (pid, tid))
            if name.startswith(('pmd-c', 'rte-worker', 'lcore-worker',
                                'setter')):
                return int(tid)
    return pid


def cpu_ms(pid):
    """Returns the milliseconds of CPU time that process 'pid' has used."""
    try:
        words = read('/proc/%d/stat' % pid).rsplit(')', 1)[1].split()
    except OSError:
        return 0
    return (int(words[11]) + int(words[12])) * 10


def first_line(*command):
    try:
        done = subprocess.run(command, check=False, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    except OSError:
        return 'unknown'
    return (done.stdout.strip() or 'unknown').splitlines()[0]


def package(name):
    return first_line('dpkg-query', '-W', '-f', '${Version}', name)


def description():
    """Returns what a reader must know of this machine."""
    cpu = 'unknown'
    for line in read('/proc/cpuinfo').splitlines():
        if line.startswith('model name'):
            cpu = line.split(':', 1)[1].strip()
            break
    return {'cpu': cpu, 'cpus': os.cpu_count(),
            'kernel': platform.release(),
            'distribution': first_line('sed', '-n',
                                       's/^PRETTY_NAME=//p',
                                       '/etc/os-release').strip('"'),
            'openvswitch': package('openvswitch-common'),
            'dpdk': package('libdpdk-dev'),
            'iperf3': package('iperf3'),
            'gcc': first_line('gcc', '-dumpfullversion')}
