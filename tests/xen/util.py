# SPDX-License-Identifier: Apache-2.0
"""What the lab's modules have in common: its error, and waiting."""

import ctypes
import os
import signal
import socket
import time

# How long to wait for anything, in seconds, unless the caller says otherwise.
# A guest that boots in 5 s on an idle machine takes 24 s on a loaded one.
PATIENCE = 90
# How often to look again, in seconds.
INTERVAL = 0.02


class LabError(Exception):
    """What failed, on what, and where to look."""


def wait_for(what, condition, timeout=PATIENCE):
    """Returns what 'condition' returns, once that is true.  Fails, naming
    'what', after 'timeout' seconds."""
    result = wait_up_to(timeout, condition)
    if not result:
        raise LabError('%s: not within %g s' % (what, timeout))
    return result


def wait_up_to(timeout, condition):
    """Returns what 'condition' returns, once that is true, or after 'timeout'
    seconds what it returns then."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result or time.monotonic() > end:
            return result
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
