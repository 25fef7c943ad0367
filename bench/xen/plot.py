#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plot of what bench-xen has measured, as SVG and PNG, by gnuplot."""

import argparse
import os
import sys

# No __pycache__ in the source tree.
sys.dont_write_bytecode = True
sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import gnuplot  # noqa: E402
import report  # noqa: E402
from gnuplot import PlotError, quote  # noqa: E402
from report import median  # noqa: E402

# The panels: a title, and the numbers in it, each with its label.
PANELS = (
    ('TCP (Mbit/s)', (('tcp_mbit', 'iperf3'),)),
    ('UDP received (1000/s)', (('udp64_pps', '64 B'),
                               ('udp1400_pps', '1400 B'))),
    ('ping, median round trip (ms)', (('rtt_p50_us', ''),)),
    ('the hypervisor, a packet', (('exits_per_packet', 'exits'),
                                  ('hypercalls_per_packet', 'hypercalls'),
                                  ('upcalls_per_packet', 'upcalls'))),
    ('CPU at 2,500 packets a second (%)', (('cpu_steady_sender', 'sender'),
                                           ('cpu_steady_receiver', 'receiver'),
                                           ('cpu_steady_switch', 'switch'),
                                           ('cpu_steady_dom0', 'Dom0'))),
)
# What a number is divided by.
SCALE = {'udp64_pps': 1000, 'udp1400_pps': 1000, 'rtt_p50_us': 1000}
COLOURS = ('#888888', '#bbbbbb', '#5b8db8', '#d1603d', '#e8b08f')


def block(name, results, networks, numbers):
    """Returns the data of a panel for gnuplot: for each number a line of its
    label, and of each network the median, the lowest and the highest."""
    lines = ['$%s << EOD' % name]
    for key, label in numbers:
        words = [quote(label)]
        for network in networks:
            values = [value / SCALE.get(key, 1) for value in
                      report.values_of(results, network, key)]
            words += (['%g' % f(values) for f in (median, min, max)]
                      if values else ['0', '0', '0'])
        lines.append(' '.join(words))
    return '\n'.join(lines + ['EOD', ''])


def panels(results):
    """Returns what gnuplot has to do."""
    networks = report.networks_of(results)
    text = ''
    for number, (title, numbers) in enumerate(PANELS):
        name = 'panel%d' % number
        text += block(name, results, networks, numbers)
        text += 'set title %s\n' % quote(title)
        text += 'plot ' + ', '.join(
            '$%s using %d:%d:%d:xtic(1) title %s linecolor rgb "%s"'
            % (name, 3 * i + 2, 3 * i + 3, 3 * i + 4, quote(titled),
               COLOURS[i % len(COLOURS)])
            for i, titled in enumerate(networks.values())) + '\n'
    # The last cell is for the key.
    return text + gnuplot.key_panel(
        [(titled, COLOURS[i % len(COLOURS)])
         for i, titled in enumerate(networks.values())])


def draw(results, folder):
    """Draws 'results' to plot.svg and plot.png in 'folder', and returns their
    paths."""
    return gnuplot.draw(panels(results), '2,3', (1100, 640),
                        os.path.join(folder, 'plot'))


def main():
    parser = argparse.ArgumentParser(
        description='Draws what bench-xen has measured.')
    parser.add_argument('--folder', default='.', help='where to (.)')
    parser.add_argument('file', nargs='+', help='results.jsonl')
    args = parser.parse_args()
    results = [result for path in args.file for result in report.load(path)]
    if not report.networks_of(results):
        print('plot: no results in %s' % ' '.join(args.file), file=sys.stderr)
        return 1
    try:
        print('\n'.join(draw(results, args.folder)))
    except PlotError as error:
        print('plot: %s' % error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
