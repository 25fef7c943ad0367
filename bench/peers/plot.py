# SPDX-License-Identifier: Apache-2.0
"""The plot of what was measured: medians over all usable rounds, with the
lowest and the highest."""

import os
import statistics
import sys

import gnuplot

from . import flows, rounds, summary, switches

COLOURS = {'doms': '#d1603d', 'doms-tap': '#d1603d', 'ovs-dpdk': '#5b8db8',
           'vhost-bridge': '#9bbfd9', 'memif': '#6aa36a',
           'linux-bridge': '#444444', 'ovs-tap': '#888888',
           'ovs-tap-tso': '#bbbbbb', 'ovs-afxdp': '#b08ac0',
           'doms-setter': '#d1603d', 'doms-setter-apart': '#e8a98f'}
# The simplest case that a switch can do, first to last.
SIMPLEST = ('in_port', 'normal')


def spread(runs, switch, case, size, key, guest='built', scale=1):
    """Returns the median, lowest and highest of a number, as gnuplot's
    words."""
    values = [run[key] * scale for run in runs
              if summary.usable(run) and key in run
              and (run['switch'], run['case'], run['size'], run['guest'])
              == (switch, case, size, guest)]
    if not values:
        return ['NaN'] * 3
    return ['%g' % f(values) for f in (statistics.median, min, max)]


def panel(name, title, switches, rows, log=False):
    """Returns the script of a panel.  'rows' are pairs of a label and of a
    function that gives a switch's words."""
    lines = []
    shown = []
    for switch in switches:
        words = [of(switch) for _, of in rows]
        if any(three[0] != 'NaN' for three in words):
            shown.append((switch, words))
    if not shown:
        return 'set multiplot next\n'
    for i, (label, _) in enumerate(rows):
        lines.append(' '.join([gnuplot.quote(label)] + [
            word for _, words in shown for word in words[i]]))
    text = '$%s << EOD\n%s\nEOD\n' % (name, '\n'.join(lines))
    text += 'set title %s\n' % gnuplot.quote(title)
    text += 'set xtics rotate by -30\n' if len(rows) > 3 \
        else 'set xtics norotate\n'
    text += 'set logscale y; set yrange [0.1:*]\n' if log \
        else 'unset logscale; set yrange [0:*]\n'
    return text + 'plot ' + ', '.join(
        '$%s using %d:%d:%d:xtic(1) linecolor rgb "%s"'
        % (name, 3 * i + 2, 3 * i + 3, 3 * i + 4, COLOURS[switch])
        for i, (switch, _) in enumerate(shown)) + '\n'


def by_case(runs, size):
    """The rows of all cases that an Open vSwitch does."""
    rows = []
    for case in flows.CASES:
        if case == 's2h':
            continue
        rows.append((case, lambda switch, case=case: spread(
            runs, switch, case, size, 'mpps')))
        if case in rounds.COPIED and size in rounds.COPIED_SIZES:
            rows.append((case + ', copied', lambda switch, case=case: spread(
                runs, switch, case, size, 'mpps', 'copied')))
    return rows


def simplest(runs, switch, size, key, scale=1):
    for case in SIMPLEST:
        words = spread(runs, switch, case, size, key, scale=scale)
        if words[0] != 'NaN':
            break
    return words


def panels(runs):
    names = [kind.name for kind in rounds.SWITCHES]
    main = ('doms', 'ovs-dpdk')
    text = ''.join(
        panel('size%d' % size, '%d bytes (Mpps)' % size, main,
              by_case(runs, size)) for size in rounds.SIZES)
    text += panel('simplest', 'simplest case, all (Mpps)', names, [
        ('%d bytes' % size, lambda switch, size=size: simplest(
            runs, switch, size, 'mpps')) for size in (64, 1500)], log=True)
    text += panel('trip', 'round trip, 64 bytes (us)', names, [
        (label, lambda switch, key=key: simplest(
            runs, switch, 64, key, 1e-3))
        for label, key in (('p50', 'rtt_p50_ns'), ('p99', 'rtt_p99_ns'),
                           ('p99.9', 'rtt_p999_ns'))], log=True)
    text += panel('streams', 'between namespaces (Gbit/s)', names, [
        (case.upper(), lambda switch, case=case: spread(
            runs, switch, case, 0, 'gbps')) for case in ('tcp', 'udp')])
    text += panel('rr', 'requests and responses (1000/s)', names, [
        ('TCP', lambda switch: spread(runs, switch, 'rr', 0, 'transactions',
                                      scale=1e-3))])
    return text + key(runs)


def key(runs):
    """Returns the script of the last panel."""
    measured = {run['switch'] for run in runs}
    return gnuplot.key_panel(
        [(kind.title, COLOURS[kind.name]) for kind in rounds.SWITCHES
         if kind.name in measured])


# The rings of the guests of case 's2h'.
RINGS = (('split rings', 'built'), ('packed rings', 'packed'))


def s2h_panels(runs):
    """Guests with virtio-net, all switches with the same CPUs."""
    names = [kind.name for kind in rounds.SWITCHES]
    text = ''
    for size in switches.DomsSetter.sizes:
        text += panel('s2h%d' % size,
                      '%d bytes, same CPUs (Mpps)' % size, names, [
                          (label, lambda switch, size=size, kind=kind: spread(
                              runs, switch, 's2h', size, 'mpps', kind))
                          for label, kind in RINGS])
    text += panel('s2htrip', 'round trip, 64 bytes, split rings (us)', names, [
        (label, lambda switch, key=key: spread(
            runs, switch, 's2h', 64, key, scale=1e-3))
        for label, key in (('p50', 'rtt_p50_ns'), ('p99', 'rtt_p99_ns'))])
    return text + key(runs)


def draw(runs, folder):
    """Draws the runs to plot.svg and plot.png in 'folder', those of case 's2h'
    to plot-s2h.svg and plot-s2h.png, and returns the paths; none, having said
    why, if there is no gnuplot."""
    s2h = [run for run in runs if run['case'] == 's2h']
    others = [run for run in runs if run['case'] != 's2h']
    paths = []
    try:
        if others:
            paths += gnuplot.draw(panels(others), '3,3', (1200, 900),
                                  os.path.join(folder, 'plot'))
        if s2h:
            paths += gnuplot.draw(s2h_panels(s2h), '2,2', (800, 600),
                                  os.path.join(folder, 'plot-s2h'))
    except gnuplot.PlotError as error:
        print('bench: %s' % error, file=sys.stderr)
    return paths
