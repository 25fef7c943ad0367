# SPDX-License-Identifier: Apache-2.0
"""Cases: a front whose switch is hostile.  A guest plays DomS; see
hostile-switch.c."""

from case import case, check, find
from util import PATIENCE

# What a kernel says of itself when something is very wrong.
ALARMS = ('BUG|WARNING|Oops|Call Trace|general protection|blocked for more|'
          'Out of memory|oom-kill|leaking|still in use')
# Bits of /proc/sys/kernel/tainted: it has died, it has warned.
TAINTED = 1 << 7 | 1 << 9
# How much less memory may be free in the end, in KiB.
SLACK = 4096


class Victim:
    """Guest 'a', with a hostile switch in place of DomS."""

    def __init__(self, lab, queues=1, memory=192, config=()):
        self.lab = lab
        self.switch = lab.create('doms', 'pv')
        self.guest = lab.create('a', 'pv', memory=memory, config=config)
        for guest in self.switch, self.guest:
            guest.wait_up()
        lab.attach('a')
        self.words = 'queues=%d' % queues
        self.anew()

    def anew(self):
        """Loads the driver anew: it forgets its pauses, and what it has
        counted."""
        self.guest.run('rmmod doms_front; modprobe doms_front ' + self.words)
        self.guest.address('10.0.0.1/24')

    def attack(self, *names):
        """Attacks by all of 'names'.  Returns the sum of what each adds to a
        counter."""
        output = self.switch.run(self.command(*names),
                                 (1 + len(names)) * PATIENCE)
        check(output.count('attack=') == len(names),
              'attacks are missing: %s' % output)
        return sum(int(line.rpartition('=')[2])
                   for line in output.splitlines())

    def command(self, *names):
        """Returns the command that attacks by 'names'."""
        return 'hostile-switch %d %s' % (self.guest.domid, ' '.join(names))

    def counter(self, name):
        """Returns counter 'name' of eth0."""
        return int(find(r'\b%s: (\d+)' % name,
                        self.guest.run('ethtool -S eth0')))

    def free(self):
        """Returns how much memory is free, in KiB, once nobody caches."""
        return int(self.guest.run(
            'sync; echo 3 >/proc/sys/vm/drop_caches; '
            "awk '/^MemFree/ { print $2 }' /proc/meminfo"))

    def count(self, name, *names):
        """Attacks by 'names', and checks that counter 'name' counts all that
        it should.  Returns how much."""
        before = self.counter(name)
        expected = self.attack(*names)
        found = self.counter(name) - before
        check(found == expected, '%s: %s is %d higher, not %d'
              % (', '.join(names), name, found, expected))
        return found

    def check_sane(self):
        """Checks that the guest's kernel has nothing to complain of."""
        log = self.guest.run('dmesg | grep -E "%s" | head -5; true' % ALARMS)
        check(not log.strip(), 'the kernel of a says: %s' % log.strip())
        tainted = int(self.guest.run('cat /proc/sys/kernel/tainted'))
        check(not tainted & TAINTED, 'the kernel of a is tainted: %d'
              % tainted)

    def said(self, what):
        """Returns how often the driver has said 'what' in the kernel log."""
        return int(self.guest.run('dmesg | grep -c "doms_front.*%s"; true'
                                  % what))

    def recovers(self):
        """Has a real DomS take the hostile one's place; the guest reaches
        another one through it."""
        self.switch.destroy()
        self.lab.start_doms(watchdog=False, calm=True)
        b = self.lab.create('b', 'pv')
        b.wait_up()
        self.lab.attach('b')
        b.address('10.0.0.2/24')
        self.lab.attach('a')
        self.guest.reach('10.0.0.2')
        self.check_sane()


# What each breaks: five at most in a row, since the driver's pauses grow.
BREAKING = (
    ('length-0', 'length-13', 'length-over', 'length-ffff', 'offload-short'),
    ('flag-unknown', 'flags-all', 'offload-unasked', 'head-empty', 'head-far'),
    ('head-2-31', 'head-back', 'race-illegal', 'health-magic'),
    ('health-version', 'health-queues', 'health-arena'),
    ('tail-ahead', 'tail-2-31', 'tail-back'))


@case
def hostile_ring(lab):
    """A switch that breaks the rules of the ring, in each way that there is,
    loses the channel and no more; a real DomS is joined at once."""
    victim = Victim(lab)
    victim.attack('usual')
    before = victim.free()
    broken = 0
    for names in BREAKING:
        broken += victim.count('broken', *names)
        victim.anew()
    victim.check_sane()
    shrunk = before - victim.free()
    check(shrunk < SLACK, '%d KiB less are free' % shrunk)
    victim.recovers()
    return {'broken': broken, 'shrunk_kib': shrunk}


@case
def hostile_frames(lab):
    """A switch whose offload fields lie, whose frames are too long, and that
    rewrites what the front is reading, loses these frames and no more."""
    victim = Victim(lab)
    victim.attack('usual')
    before = victim.free()
    result = {
        'bad_offload': victim.count('rx_queue_0_bad_offload', 'offload-lies',
                                    'tso-unasked'),
        'too_long': victim.count('rx_queue_0_too_long', 'too-long'),
        'hints_taken': victim.attack('offload-hints'),
    }

    def seen():
        return sum(victim.counter('rx_queue_0_' + name) for name in
                   ('packets', 'bad_offload', 'too_long', 'no_memory'))
    # Each attack is followed by one good frame.
    for name in 'offload-fuzz', 'race-legal':
        start = seen()
        expected = victim.attack(name) + 1
        check(seen() - start == expected, '%s: %d of %d frames were counted'
              % (name, seen() - start, expected))
        result[name.replace('-', '_')] = expected
    victim.attack('health-noise')
    check(victim.counter('broken') == 0, 'the driver calls something broken')
    victim.check_sane()
    shrunk = before - victim.free()
    check(shrunk < SLACK, '%d KiB less are free' % shrunk)
    result['shrunk_kib'] = shrunk
    return result


def keep(victim, do):
    """Has the switch keep two channels, and do() be done meanwhile."""
    switch = victim.switch
    switch.run('rm -f /run/let-go')
    job = switch.start(victim.command('keep'))
    # It looks for a while whether it gets a third.
    switch.run('until grep -q -e kept= -e : /run/%s; do usleep 20000; done'
               % job[0])
    kept = victim.counter('quarantined')
    check(kept == 2, '%d channels are kept' % kept)
    do()
    switch.run('>/run/let-go')
    switch.finish(job)


@case
def hostile_door(lab):
    """A switch that writes nonsense to xenstore, changes its state all the
    time, and does not let go of what it has mapped, is not believed, and
    gets no third channel; a real DomS is joined at once."""
    victim = Victim(lab)
    victim.attack('usual')
    before = victim.free()
    result = {'pages_not_writable': victim.attack('map-writable'),
              'offers': victim.attack('bad-offers'),
              'values': victim.attack('bad-config')}
    check(victim.said('makes no sense'), 'the driver does not say that an '
          'offer makes no sense')
    link = victim.guest.run('cat /sys/class/net/eth0/mtu '
                            '/sys/class/net/eth0/address').split()
    check(link == ['1500', '02:00:00:00:00:aa'], 'eth0 is %s' % link)
    result['states'] = victim.attack('flap', 'flap-online')
    victim.check_sane()

    # There is another interface by now, without an address.
    victim.anew()
    keep(victim, lambda: None)
    check(victim.counter('quarantined') == 0, 'a channel is still kept')
    shrunk = before - victim.free()
    check(shrunk < SLACK, '%d KiB less are free' % shrunk)
    result['shrunk_kib'] = shrunk
    # The driver goes away meanwhile: the kernel frees the pages later.
    keep(victim, victim.anew)
    victim.check_sane()
    victim.recovers()
    return result


@case
def hostile_grants(lab):
    """The largest channel that a switch may ask for takes neither all grants
    of a guest nor all of its memory: the driver takes fewer queues, says so,
    and has more of them when a switch asks for less."""
    result = {}
    few = Victim(lab, queues=4, config=['max_grant_frames=2'])
    few.attack('too-large')
    check(few.said('no more grants'),
          'the driver does not say that there are no grants')
    result['queues_of_few_grants'] = few.attack('usual')
    check(few.said('grants for 2 of 4 queues only'),
          'the driver does not say that there are too few grants')
    few.check_sane()
    few.guest.destroy()
    few.switch.destroy()

    many = Victim(lab, queues=16)
    result['queues_of_largest'] = many.attack('largest')
    result['queues_of_usual'] = many.attack('usual')
    check(1 <= result['queues_of_largest'] < result['queues_of_usual'],
          'queues: %s' % result)
    many.check_sane()
    many.recovers()
    return result
