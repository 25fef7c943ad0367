#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of what bench-xen has measured.

Results are lines of JSON, one a network and round: 'network' and 'title',
'row' with numbers by name, and more.  Several rounds become their median, with
the lowest and the highest.
"""

import argparse
import json
import sys

# Rows of the table: the number's name, what it is, and whether more or less of
# it is better, or neither.
ROWS = (
    ('rtt_p50_us', 'ping, round trip, median (us)', 'less'),
    ('rtt_us', 'ping, round trip, mean (us)', 'less'),
    ('tcp_mbit', 'TCP, iperf3 (Mbit/s)', 'more'),
    ('udp64_iperf_pps', 'UDP 64 B received, iperf3 (/s)', 'more'),
    ('udp64_pps', 'UDP 64 B received, udp-blast (/s)', 'more'),
    ('udp1400_iperf_pps', 'UDP 1400 B received, iperf3 (/s)', 'more'),
    ('udp1400_pps', 'UDP 1400 B received, udp-blast (/s)', 'more'),
    ('cpu_tcp_sender', 'CPU at TCP: sender (%)', ''),
    ('cpu_tcp_receiver', '  receiver', ''),
    ('cpu_tcp_switch', '  switching domain', ''),
    ('cpu_tcp_dom0', '  Dom0', ''),
    ('steady_pps', 'UDP 64 B at a steady rate, received (/s)', ''),
    ('cpu_steady_sender', 'CPU at that rate: sender (%)', ''),
    ('cpu_steady_receiver', '  receiver', ''),
    ('cpu_steady_switch', '  switching domain', ''),
    ('cpu_steady_dom0', '  Dom0', ''),
    ('flow_pps', 'Traced UDP 64 B flow, received (/s)', ''),
    ('exits_per_packet', 'Exits to the hypervisor a packet', 'less'),
    ('hypercalls_per_packet', 'Hypercalls a packet', 'less'),
    ('grant_ops_per_packet', '  grant_table_op', 'less'),
    ('evtchn_ops_per_packet', '  event_channel_op', 'less'),
    ('upcalls_per_packet', 'Event-channel upcalls a packet', 'less'),
    ('lost_records', 'Trace records lost', ''),
    ('other_cpu', 'CPU that others took of this machine (%)', ''),
)
# What the others are compared with.
BASE = 'netback-dom0'


def median(values):
    """Returns the median of 'values'."""
    values = sorted(values)
    middle = len(values) // 2
    if len(values) % 2:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2


def load(path):
    """Returns the results in file 'path'."""
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def networks_of(results):
    """Returns the networks of 'results', title by name, in the order in which
    they first occur; the base first."""
    titles = {}
    for result in results:
        if result.get('row'):
            titles.setdefault(result['network'], result['title'])
    return dict(sorted(titles.items(), key=lambda item: item[0] != BASE))


def values_of(results, network, key):
    """Returns the numbers 'key' of 'network', one a round."""
    return [result['row'][key] for result in results
            if result['network'] == network and key in result.get('row', {})]


def brief(value):
    """Returns number 'value' as few digits as tell enough."""
    if value == 0 or abs(value) >= 100:
        return '%d' % round(value)
    if abs(value) >= 10:
        return '%.1f' % value
    return '%.2f' % value if abs(value) >= 1 else '%.3f' % value


def cell(values, base, better):
    """Returns what the table says of 'values', beside those of the base."""
    if not values:
        return '-'
    text = brief(median(values))
    if len(values) > 1:
        text += ' (%s..%s)' % (brief(min(values)), brief(max(values)))
    if better and base and base is not values:
        own, other = median(values), median(base)
        if better == 'less':
            own, other = other, own
        if own > 0 and other > 0:
            text += '  x%s' % brief(own / other)
    return text


def table(results):
    """Returns the table of 'results' as text."""
    titles = networks_of(results)
    lines = [['', *titles.values()]]
    for key, text, better in ROWS:
        by_network = {name: values_of(results, name, key) for name in titles}
        if any(by_network.values()):
            base = by_network.get(BASE)
            lines.append([text] + [cell(values, base, better)
                                   for values in by_network.values()])
    widths = [max(len(line[i]) for line in lines)
              for i in range(len(lines[0]))]
    return '\n'.join('  '.join(
        word.ljust(width) if not i else word.rjust(width)
        for i, (word, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines) + '\n'


def main():
    parser = argparse.ArgumentParser(
        description='Prints the table of what bench-xen has measured.')
    parser.add_argument('file', nargs='+', help='results.jsonl')
    args = parser.parse_args()
    results = [result for path in args.file for result in load(path)]
    if not networks_of(results):
        print('report: no results in %s' % ' '.join(args.file),
              file=sys.stderr)
        return 1
    sys.stdout.write(table(results))
    return 0


if __name__ == '__main__':
    sys.exit(main())
