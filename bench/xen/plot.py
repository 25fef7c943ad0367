#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plot of what bench-xen has measured, as SVG and PNG, by gnuplot."""

import argparse
import os
import subprocess
import sys
import tempfile

# No __pycache__ in the source tree.
sys.dont_write_bytecode = True

import report  # noqa: E402
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

HEAD = '''\
set terminal %s
set output "%s"
set multiplot layout 2,3
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid border -1
set boxwidth 0.9
set bars small
set yrange [0:*]
set grid y
set key off
'''
TERMINALS = {
    'svg': 'svg size 1100,640 font "sans,12" background "white"',
    'png': 'pngcairo size 1650,960 font "sans,14"',
}


class PlotError(Exception):
    """Why there is no plot."""


def quote(text):
    return '"%s"' % text.replace('\\', '').replace('"', "'")


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


def script(results, kind, path):
    """Returns what gnuplot has to do."""
    networks = report.networks_of(results)
    text = HEAD % (TERMINALS[kind], path)
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
    text += ('unset title; unset tics; unset border; unset grid\n'
             'set key center center vertical\nset yrange [0:1]\n'
             'plot ' + ', '.join(
                 'NaN with boxes title %s linecolor rgb "%s"'
                 % (quote(titled), COLOURS[i % len(COLOURS)])
                 for i, titled in enumerate(networks.values())) + '\n')
    return text + 'unset multiplot\n'


def draw(results, folder):
    """Draws 'results' to plot.svg and plot.png in 'folder', and returns their
    paths."""
    paths = []
    for kind in TERMINALS:
        path = os.path.join(os.path.abspath(folder), 'plot.' + kind)
        with tempfile.NamedTemporaryFile('w', suffix='.gp') as f:
            f.write(script(results, kind, path))
            f.flush()
            try:
                done = subprocess.run(['gnuplot', f.name], check=False,
                                      stdin=subprocess.DEVNULL, text=True,
                                      stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
            except FileNotFoundError:
                raise PlotError("no plot: gnuplot is not installed; 'make "
                                "bench-xen' installs gnuplot-nox") from None
        if done.returncode:
            raise PlotError('gnuplot cannot draw %s: %s'
                            % (path, done.stdout.strip()))
        paths.append(path)
    return paths


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
