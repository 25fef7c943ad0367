# SPDX-License-Identifier: Apache-2.0
"""A transfer between two guests, and when it stood still.

The time is that of the machine which runs the lab, since guests' clocks drift
under load: the receiver writes what it has received to its console, and what
counts is when a higher number arrives in the console's log.
"""

import threading
import time

from domains import mbit
from util import LabError, PATIENCE, read_from, size_of, wait_for

# A transfer goes again once it has grown this often in a row.
STEADY = 5


class Transfer:
    """An iperf3 transfer from 'sender' to 'receiver', which has 'address', for
    'seconds'.  Starts at once.  Use it in a 'with' statement."""

    def __init__(self, sender, receiver, address, seconds=PATIENCE):
        self.sender = sender
        self.receiver = receiver
        # When the number of bytes received was seen to grow.
        self.growths = []
        self._offset = size_of(receiver.log)
        self._ended = threading.Event()
        receiver.serve()
        receiver.run('(while sleep 0.1; do read -r n '
                     '</sys/class/net/eth0/statistics/rx_bytes; '
                     'echo "@@rx $n"; done) </dev/null >/dev/console 2>&1 & '
                     'echo $! >/run/sampler.pid')
        self._job = sender.start_iperf(address, seconds)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self.wait_moving()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        last = 0
        while not self._ended.wait(0.02):
            text = read_from(self.receiver.log, self._offset)
            end = text.rfind('\n') + 1
            self._offset += len(text[:end].encode())
            for line in text[:end].splitlines():
                if line.startswith('@@rx ') and int(line[5:]) > last + 20000:
                    last = int(line[5:])
                    self.growths.append(time.monotonic())

    def wait_moving(self, since=None, timeout=PATIENCE):
        """Waits until the transfer has gone on for a while after 'since',
        which is now by default."""
        since = since or time.monotonic()
        wait_for('the transfer from %s to %s'
                 % (self.sender.name, self.receiver.name),
                 lambda: sum(t > since for t in self.growths) >= STEADY,
                 timeout)

    def outage_ms(self, since):
        """Returns the longest time from 'since' on for which the transfer
        stood still, in milliseconds."""
        before = [t for t in self.growths if t <= since][-1:]
        times = before + [t for t in self.growths if t > since]
        return round(1000 * max(b - a for a, b in zip(times, times[1:])))

    def finish(self):
        """Waits for the end of the transfer.  Returns its megabits a second;
        fails if it broke off."""
        result = mbit(self.sender.finish_iperf(self._job, 3 * PATIENCE))
        self.receiver.run('kill $(cat /run/sampler.pid)')
        if not result:
            raise LabError('the transfer brought nothing')
        return result

    def stop(self):
        """Ends the transfer, whose time is not over."""
        self.sender.run('kill -9 $(pidof iperf3)', check=False)
        self.receiver.run('kill $(cat /run/sampler.pid)', check=False)
