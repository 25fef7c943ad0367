# SPDX-License-Identifier: Apache-2.0
"""What the runs come to: of each case, size and peer, the median over all
rounds of how many times better ours was than the peer in the same round, with
the CPUs placed alike."""

import json
import statistics

OURS = 'doms'
# The result that a case is about, and those told beside it; and of which of
# them less is better.
BESIDE = ('rtt_p50_ns', 'rtt_p99_ns', 'rtt_p999_ns')


def load(path):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def usable(run):
    return run.get('error') is None and run['placement'] != 'moved'


def pairs_of(runs):
    """Yields (key, ours, peer's run) for each run of a peer: the one of ours in
    the same group of runs that is nearest to it and placed alike."""
    groups = {}
    for run in runs:
        if usable(run):
            groups.setdefault((run['round'], run['case'], run['size'],
                               run['guest']), []).append(run)
    for (_, case, size, guest), group in groups.items():
        best = {}
        for run in group:
            if run['switch'] == OURS:
                continue
            ours = [other for other in group if other['switch'] == OURS
                    and other['placement'] == run['placement']]
            if ours:
                nearest = min(ours, key=lambda other, run=run:
                              abs(other['number'] - run['number']))
                best[run['switch']] = (nearest, run)
        for switch, (ours, run) in best.items():
            yield (case, size, guest, switch, run['placement']), ours, run


def compare(pairs, key):
    """Returns the medians of a number: ours, the peer's, and of the ratio of
    both in each round."""
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


def summarize(runs):
    """Returns summary.json's list."""
    pairs = {}
    order = []
    for key, ours, run in pairs_of(runs):
        if key not in pairs:
            order.append(key)
        pairs.setdefault(key, []).append((ours, run))
    entries = []
    for key in order:
        case, size, guest, switch, placement = key
        unit = pairs[key][0][0]['unit']
        compared = compare(pairs[key], unit)
        if not compared:
            continue
        entry = {'case': case, 'size': size, 'guest': guest, 'peer': switch,
                 'placement': placement, 'unit': unit}
        entry.update(compared)
        for beside in sorted({name for pair in pairs[key] for name in
                              pair[0] if name in BESIDE}):
            numbers = compare(pairs[key], beside)
            if numbers:
                entry[beside] = numbers
        entries.append(entry)
    return entries


def table(entries):
    """Returns the table as text."""
    rows = [('case', 'size', 'guest', 'peer', 'placed', 'unit', 'ours',
             "peer's", 'ratio', 'from-to', 'rtt p50 ns', 'p99 ns', 'rounds')]
    for entry in entries:
        trips = []
        for key in ('rtt_p50_ns', 'rtt_p99_ns'):
            trip = entry.get(key)
            trips.append('%.0f/%.0f=%.2f' % (trip['ours'], trip['peers'],
                                             trip['ratio']) if trip else '-')
        rows.append((entry['case'], str(entry['size'] or '-'), entry['guest'],
                     entry['peer'], entry['placement'], entry['unit'],
                     '%.3g' % entry['ours'], '%.3g' % entry['peers'],
                     '%.2f' % entry['ratio'],
                     '%.2f-%.2f' % (entry['ratio_min'], entry['ratio_max']),
                     *trips, str(entry['rounds'])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(cell.ljust(width) if i < 6 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)
