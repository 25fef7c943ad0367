# SPDX-License-Identifier: Apache-2.0
"""Cases: who can reach what, and what is said when something is wrong."""

from case import case, check, joined
from util import PATIENCE, LabError, read_from, size_of, wait_for

# Grants of a guest's table that the third guest tries: those of the rings are
# among them.
TRIED = 2200


# Acts as a front: waits for the backend's offer, writes {keys}, and prints why
# it is refused.
REFUSAL = '''
await() {{
    n=0
    until [ "$(xenstore-read {back}/state)" = $1 ]; do
        n=$((n + 1))
        [ $n -lt 400 ] || {{ echo "no state $1"; exit 1; }}
        sleep 0.05
    done
}}
xenstore-write {front}/state 1
await 2
xenstore-write {keys}
xenstore-write {front}/state 3
await 6
xenstore-read {back}/error
'''


@case
def third_guest(lab):
    """A third guest can neither read what the other two agree on with DomS in
    xenstore, nor map any of their grants."""
    doms, (a, b, c) = joined(lab, 'pv', 'abc')
    result = {}
    for guest in a, b:
        front = '/local/domain/%d/device/doms/0' % guest.domid
        back = '/local/domain/%d/backend/doms/%d/0' % (doms.domid,
                                                       guest.domid)
        for path in front + '/reference', back + '/mac', (
                '/local/domain/%d/doms/port/%s/mac' % (doms.domid,
                                                       guest.name)):
            said = c.run('grants peek %s' % path).strip()
            check(said == 'error=Permission denied',
                  'guest c reads %s: %s' % (path, said))
        check(c.run('grants peek /local/domain/%d/device/doms/0/reference'
                    % c.domid).startswith('value='),
              'guest c cannot read its own node, so it proves nothing')
        said = c.run('grants steal %d %d' % (guest.domid, TRIED),
                     2 * PATIENCE).strip().splitlines()[-1]
        check(said == 'tried=%d read=0 written=0' % TRIED,
              'guest c and the grants of %s: %s' % (guest.name, said))
        result['refused_of_' + guest.name] = 2 * TRIED
    return result


@case
def grants_only(lab):
    """DomS maps the pages of the rings, and no other page of a guest."""
    doms, (a, b) = joined(lab, 'pv', 'ab')
    arena = doms.ports()['a']['arena']
    # Health and control pages, lengths, arena; two groups.
    expected = 2 * (1 + 1 + arena // 512 * 4 // 4096 + arena // 4096)
    mapped = lab.grants()
    for guest in a, b:
        # Xen's console and xenstore pages of a guest are Dom0's to map.
        n = mapped[guest.domid]
        check(expected <= n <= expected + 2,
              '%d pages of %s are mapped, the rings have %d'
              % (n, guest.name, expected))
    return {'ring_pages': expected, 'mapped_a': mapped[a.domid],
            'mapped_b': mapped[b.domid]}


@case
def bad_front(lab):
    """A front that writes nonsense is refused, each time with a reason, and
    nothing of it stays mapped; DomS and the other guest do not notice."""
    doms, (a, b, c) = joined(lab, 'pv', 'abc')
    epoch = doms.ports()['b']['epoch']
    a.run('rmmod doms_front')
    front = '/local/domain/%d/device/doms/0' % a.domid
    back = '/local/domain/%d/backend/doms/%d/0' % (doms.domid, a.domid)
    right = {'version': '1', 'queues': '1', 'epoch': '7', 'reference': '8',
             'arena': str(doms.ports()['b']['arena']),
             'feature-csum': '1', 'feature-tso': '1'}
    wrong = [('version', '2', 'version'), ('version', '', 'version'),
             ('queues', '0', 'queues'), ('queues', '17', 'queues'),
             ('queues', '-1', 'queues'), ('arena', '4096', 'arena'),
             ('arena', '18446744073709551617', 'arena'),
             ('epoch', '0', 'epoch'), ('reference', 'x', 'reference'),
             ('reference', '0', 'reference'),
             ('reference', '4294967295', 'map'),
             ('reference', '100', 'map|malformed')]

    for key, value, word in wrong:
        keys = dict(right, **{key: value})
        error = lab.dom0(REFUSAL.format(front=front, back=back, keys=' '.join(
            '%s/%s "%s"' % (front, k, v) for k, v in keys.items()))).strip()
        check(any(w in error for w in word.split('|')),
              '%s=%s: DomS says: %s' % (key, value, error))
    check(doms.ports()['a']['state'] == 'waiting', 'port a is not waiting')
    check(doms.ports()['b']['epoch'] == epoch, 'domsd has died')
    b.reach('10.0.0.3')
    a.run('modprobe doms_front')
    a.address('10.0.0.1/24')
    a.reach('10.0.0.2')
    return {'refused': len(wrong)}


def says(lab, command, *words):
    """Checks that 'command' in Dom0 fails in one line that has 'words'."""
    status, output = lab.dom0(command, check=False)
    check(status and len(output.strip().splitlines()) == 1
          and all(word in output for word in words),
          '%s: status %d: %s' % (command, status, output.strip()))


@case
def errors(lab):
    """What is wrong is said in one line, with its remedy, where its reader
    looks: doms-ctl, the guest's kernel log, domsd's log."""
    says(lab, 'XENSTORED_PATH=/nowhere doms-ctl list', 'xenstore')
    lab.dom0('grep -q nobody /etc/passwd || '
             'echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd')
    says(lab, 'busybox su nobody -c "doms-ctl list"', 'root')
    doms, (a,) = joined(lab, 'pv', 'a', 'mac=02:00:00:00:00:aa')
    says(lab, 'doms-ctl attach zz mac=02:00:00:00:00:aa', 'mac', 'in use')
    says(lab, 'doms-ctl attach zz bridge=nowhere', 'bridge')
    says(lab, 'doms-ctl attach zz tag=5000', 'tag')
    says(lab, 'doms-ctl detach zz', 'zz')

    # A backend that is too old for the driver.
    back = '/local/domain/%d/backend/doms/%d/0' % (doms.domid, a.domid)
    a.run('rmmod doms_front')
    wait_for('the backend to offer anew', lambda: lab.dom0(
        'xenstore-read %s/state' % back).strip() in '126')
    lab.dom0('xenstore-write %s/version 0; xenstore-write %s/state 2'
             % (back, back))
    a.run('modprobe doms_front')
    wait_for("the kernel's word on versions", lambda: 'version' in a.run(
        'dmesg | grep "doms_front.*version" | grep -v "module" | tail -1',
        check=False)[1])

    # DomS cannot share its heartbeat.
    lab.dom0('xl destroy doms')
    lab.wait_gone(doms.domid)
    log = size_of(doms.log)
    lab.dom0('sed -i "s/rdinit=/xen_gntalloc.limit=0 rdinit=/" '
             '/etc/doms/doms.cfg; xl create /etc/doms/doms.cfg')
    wait_for("DomS's shell", lambda: '@@up' in read_from(doms.log, log))
    doms.refresh()
    wait_for("domsd's word on its heartbeat", lambda: 'xen-gntalloc' in
             doms.run('cat /var/log/openvswitch/domsd.log', check=False)[1])
    return {}
