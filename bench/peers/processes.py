# SPDX-License-Identifier: Apache-2.0
"""The processes and namespaces that a benchmark starts, and how they end."""

import contextlib
import os
import signal
import subprocess
import time

from .machine import BenchError

PATIENCE = 30  # Seconds for anything to come up, or to end.


def wait_for(what, condition, patience=PATIENCE):
    """Polls until 'condition' returns something true, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise BenchError('%s: not within %d s' % (what, patience))
        time.sleep(0.01)


def run(*command, netns=None, env=None, text=None, check=True, patience=120):
    """Runs a command to its end, for 'patience' seconds at most, and returns
    its output."""
    if netns:
        command = ('ip', 'netns', 'exec', netns) + command
    try:
        done = subprocess.run(
            command, check=False, text=True, input=text, env=env,
            stdin=None if text else subprocess.DEVNULL, timeout=patience,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        raise BenchError('%s: not done within %d s'
                         % (' '.join(command)[:200], patience)) from None
    if done.returncode and check:
        raise BenchError('%s: %s' % (' '.join(command)[:200],
                                     (done.stderr or done.stdout).strip()))
    return done.stdout.strip()


class World:
    """All that was made: ends it, newest first, whatever happens."""

    def __init__(self, folder):
        self.folder = folder  # Of logs and sockets.
        self.stack = contextlib.ExitStack()

    def start(self, name, *command, cpu=None, netns=None, env=None,
              open_input=False, answers=False):
        """Starts a process in the background, with its output in a log; one
        that is asked by its standard input, if 'answers'; one that ends when
        that ends, if 'open_input'."""
        if cpu is not None:
            command = ('taskset', '-c', str(cpu)) + command
        if netns:
            command = ('ip', 'netns', 'exec', netns) + command
        log_path = os.path.join(self.folder, name + '.log')
        with open(log_path, 'ab') as log:
            process = subprocess.Popen(
                command, env=env, start_new_session=True, stderr=log,
                stdin=subprocess.PIPE if answers or open_input
                else subprocess.DEVNULL,
                stdout=subprocess.PIPE if answers else log)
        process.log_path = log_path
        process.title = name
        self.stack.callback(end, process)
        return process

    def make_netns(self, name):
        name = '%s-%d' % (name, os.getpid())
        run('ip', 'netns', 'add', name)
        self.stack.callback(run, 'ip', 'netns', 'del', name, check=False)
        run('ip', '-n', name, 'link', 'set', 'lo', 'up')
        # No frames but those that are measured.
        run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1',
            'net.ipv6.conf.default.disable_ipv6=1', netns=name)
        return name

    def close(self):
        # Nothing may interrupt this.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.stack.close()


def end(process):
    """Ends a process of World.start(), which may be stopped or gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()


def log_end(process, lines=8):
    with contextlib.suppress(OSError):
        with open(process.log_path, encoding='utf-8', errors='replace') as f:
            return ' | '.join(f.read().strip().splitlines()[-lines:])
    return ''


def check_alive(process):
    if process.poll() is not None:
        raise BenchError('%s has ended with status %d: %s'
                         % (process.title, process.returncode,
                            log_end(process)))


def answer(process):
    """Returns the next line that a process of World.start(answers=True)
    prints."""
    line = process.stdout.readline().decode()
    if not line:
        process.wait()
        check_alive(process)
    return line.strip()


def ask(process, question):
    """Asks a process of World.start(answers=True) and returns its answer."""
    try:
        process.stdin.write((question + '\n').encode())
        process.stdin.flush()
    except OSError:
        process.wait()
        check_alive(process)
    return answer(process)
