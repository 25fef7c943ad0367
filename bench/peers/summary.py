# SPDX-License-Identifier: Apache-2.0
"""What the runs come to: of each case, size and peer, the median over all
rounds of how many times better ours was than the peer in the same round, with
the CPUs placed alike."""

import json
import statistics

OURS = ('doms', 'doms-tap', 'doms-setter')
UNITS = {'tcp': 'gbps', 'udp': 'gbps', 'rr': 'transactions'}
UNIT_NAMES = {'mpps': 'Mpps', 'gbps': 'Gbit/s', 'transactions': '1/s'}
# What is told beside a case's own number; of these, less is better.
BESIDE = ('rtt_p50_ns', 'rtt_p99_ns', 'rtt_p999_ns')
# A run is disturbed if something else had the switch's CPU for more than this
# share of the time, or the guests' one; with many flows, the switch itself
# uses that, too.
SWITCH_SHARE, GUEST_SHARE = 0.1, 0.4


def load(path):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def unit_of(case):
    return UNITS.get(case, 'mpps')


def title(case, size, guest):
    words = [case, str(size) if size else '', guest if guest != 'built' else '']
    return ' '.join(word for word in words if word)


def disturbed(run):
    busy = run.get('busy_ms')
    return bool(busy) and (
        run['switch_delay_ms'] + run['steal_ms'] > SWITCH_SHARE * busy
        or run['guest_delay_ms'] > GUEST_SHARE * busy)


def usable(run):
    return (not run.get('error') and run['placement'] != 'moved'
            and not disturbed(run))


def brief(run):
    """Returns a run as a few words."""
    if run.get('error'):
        return run['switch'] + ' failed'
    return '%s %.4g %s%s' % (run['switch'], run[run['unit']],
                             run['placement'],
                             ' disturbed' if disturbed(run) else '')


def pairs_of(runs):
    """Yields (key, ours, peer's run) of each peer in each group of a round:
    that one of ours that is nearest to it and placed alike."""
    groups = {}
    for run in runs:
        if usable(run):
            groups.setdefault((run['round'], run['case'], run['size'],
                               run['guest']), []).append(run)
    for (_, case, size, guest), group in groups.items():
        best = {}
        for run in group:
            ours = [other for other in group if other['switch'] in OURS
                    and other['placement'] == run['placement']]
            if run['switch'] not in OURS and ours:
                nearest = min(ours, key=lambda other, run=run:
                              abs(other['number'] - run['number']))
                best[run['switch']] = (nearest, run)
        for switch, (ours, run) in best.items():
            yield (case, size, guest, switch, run['placement']), ours, run


def compare(pairs, key):
    """Returns the medians of a number: ours, the peer's, and of the ratio of
    both in each round; or None if it was not measured."""
    values = [(ours[key], theirs[key]) for ours, theirs in pairs
              if ours.get(key) and theirs.get(key)]
    if not values:
        return None
    ratios = [ours / theirs for ours, theirs in values]
    return {'ours': round(statistics.median(v[0] for v in values), 4),
            'peers': round(statistics.median(v[1] for v in values), 4),
            'ratio': round(statistics.median(ratios), 3),
            'ratio_min': round(min(ratios), 3),
            'ratio_max': round(max(ratios), 3),
            'rounds': len(values)}


def entry_of(key, pairs):
    """Returns one entry of summary.json, or None."""
    case, size, guest, switch, placement = key
    unit = unit_of(case)
    compared = compare(pairs, unit)
    if not compared:
        return None
    entry = {'case': case, 'size': size, 'peer': switch,
             'placement': placement, 'guest': guest, 'unit': unit}
    entry.update(compared)
    for name in BESIDE:
        beside = compare(pairs, name)
        if beside:
            entry[name] = beside
    for i, side in enumerate(('ours', 'peers')):
        cpus = [pair[i].get('cpu_percent') for pair in pairs]
        if all(cpus):
            entry['cpu_percent_' + side] = {
                name: statistics.median(cpu.get(name, 0) for cpu in cpus)
                for name in cpus[0]}
    return entry


def summarize(runs):
    """Returns summary.json's list."""
    pairs = {}
    for key, ours, run in pairs_of(runs):
        pairs.setdefault(key, []).append((ours, run))
    entries = [entry_of(key, pairs[key]) for key in pairs]
    return [entry for entry in entries if entry]


def align(rows, left):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(cell.ljust(width) if i < left else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)


def table(entries):
    """Returns the table as text."""
    rows = [('case', 'peer', 'placed', '', 'ours', 'peer', 'ratio', 'from',
             'to', 'rtt p50: ours', 'peer', 'ratio', 'p99: ratio', 'rounds')]
    for entry in entries:
        p50 = entry.get('rtt_p50_ns')
        p99 = entry.get('rtt_p99_ns')
        rows.append((
            title(entry['case'], entry['size'], entry['guest']),
            entry['peer'], entry['placement'], UNIT_NAMES[entry['unit']],
            '%.4g' % entry['ours'], '%.4g' % entry['peers'],
            '%.2f' % entry['ratio'], '%.2f' % entry['ratio_min'],
            '%.2f' % entry['ratio_max'],
            '%.2f us' % (p50['ours'] / 1e3) if p50 else '-',
            '%.2f us' % (p50['peers'] / 1e3) if p50 else '-',
            '%.2f' % p50['ratio'] if p50 else '-',
            '%.2f' % p99['ratio'] if p99 else '-', str(entry['rounds'])))
    text = align(rows, 4)
    split = cpu_table(entries)
    return text + '\n\n' + split if split else text


def cpu_table(entries):
    """Returns who used the CPUs for a stream between stacks, in per cent of a
    CPU, as text."""
    rows = []
    for entry in entries:
        for side, name in (('ours', 'ours'), ('peers', entry['peer'])):
            cpu = entry.get('cpu_percent_' + side)
            row = [entry['case'], name] + [
                '%s %.0f' % item for item in (cpu or {}).items()]
            if cpu and row[:2] not in [other[:2] for other in rows]:
                rows.append(row)
    if not rows:
        return ''
    return 'CPU, per cent:\n' + '\n'.join(
        '  %-4s %-13s %s' % (row[0], row[1], '  '.join(row[2:]))
        for row in rows)
