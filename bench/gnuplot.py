# SPDX-License-Identifier: Apache-2.0
"""Drawing by gnuplot: figures of several panels of bars, as SVG and PNG."""

import os
import subprocess
import tempfile

HEAD = '''\
set terminal %s
set output "%s"
set multiplot layout %s
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
    'svg': 'svg noenhanced size %d,%d font "sans,12" background "white"',
    'png': 'pngcairo noenhanced size %d,%d font "sans,14"',
}
# Pixels of the PNG for each of the SVG's.
PNG_SCALE = 1.5


class PlotError(Exception):
    """Why there is no plot."""


def quote(text):
    return '"%s"' % text.replace('\\', '').replace('"', "'")


def key_panel(titles):
    """Returns the script of a panel that holds the key only: 'titles' are
    pairs of a title and a colour."""
    return ('unset title; unset tics; unset border; unset grid\n'
            'unset logscale\n'
            'set key center center vertical\nset yrange [0:1]\n'
            'plot ' + ', '.join(
                'NaN with boxes title %s linecolor rgb "%s"'
                % (quote(title), colour) for title, colour in titles) + '\n')


def draw(panels, layout, size, path):
    """Draws a figure to PATH.svg and PATH.png, and returns both.  'panels' is
    the script of its panels, 'layout' is 'ROWS,COLUMNS', and 'size' the width
    and height of the SVG."""
    paths = []
    for kind, terminal in TERMINALS.items():
        scale = PNG_SCALE if kind == 'png' else 1
        file = '%s.%s' % (os.path.abspath(path), kind)
        head = HEAD % (terminal % (size[0] * scale, size[1] * scale), file,
                       layout)
        with tempfile.NamedTemporaryFile('w', suffix='.gp') as f:
            f.write(head + panels + 'unset multiplot\n')
            f.flush()
            try:
                done = subprocess.run(['gnuplot', f.name], check=False,
                                      stdin=subprocess.DEVNULL, text=True,
                                      stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
            except FileNotFoundError:
                raise PlotError('no plot: gnuplot is not installed; install '
                                'gnuplot-nox') from None
        if done.returncode:
            raise PlotError('gnuplot cannot draw %s: %s'
                            % (file, done.stdout.strip()))
        paths.append(file)
    return paths
