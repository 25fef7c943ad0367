# SPDX-License-Identifier: Apache-2.0
"""What makes a function a case, and what cases have in common."""

import re

from util import LabError

# Cases by name, in the order in which they run.
CASES = {}


def case(function):
    """Makes 'function' a case, named as it is, with '-' for '_'."""
    CASES[function.__name__.replace('_', '-')] = function
    return function


# What hosts of cases have otherwise than all: a dictionary for Lab, by case.
HOSTS = {}


def on_host(**kwargs):
    """Has a case run on a host with 'kwargs' of Lab."""
    def mark(function):
        HOSTS[function.__name__.replace('_', '-')] = kwargs
        return function
    return mark


def check(holds, what):
    """Fails, saying 'what' is wrong, unless 'holds'."""
    if not holds:
        raise LabError(what)


def find(pattern, text):
    """Returns the first group of 'pattern' in 'text', which must be there."""
    match = re.search(pattern, text)
    if not match:
        raise LabError('%r is not in: %s' % (pattern, text.strip()))
    return match.group(1)


def joined(lab, kind, names, *words, doms=None, memory=192, vcpus=1,
           watchdog=False, calm=True, **kwargs):
    """Starts DomS and guests of the letters 'names', all of 'kind', or each of
    its own of a list of them, with a port each, made with 'words' of doms-ctl
    attach.  The first guest has 10.0.0.1/24 and fd00::1/64, and so on.  DomS is
    of kind 'doms', as the guests by default.  All are 'calm', unless it is how
    fast they are, or how they are as shipped, that matters.  'kwargs' are those
    of Lab.start_doms().  Returns DomS and a list of the guests."""
    kinds = [kind] * len(names) if isinstance(kind, str) else kind
    switch = lab.start_doms(kind=doms or kinds[0], watchdog=watchdog,
                            calm=calm, **kwargs)
    guests = [lab.create(name, of, memory=memory, vcpus=vcpus, calm=calm)
              for name, of in zip(names, kinds)]
    mtu = 9000 if 'mtu=9000' in words else None
    for guest in guests:
        guest.wait_up()
        lab.attach(guest.name, *words)
    for number, guest in enumerate(guests, 1):
        guest.address('10.0.0.%d/24' % number, 'fd00::%d/64' % number,
                      mtu=mtu)
    for number, guest in enumerate(guests[1:], 2):
        guests[0].reach('10.0.0.%d' % number)
    return switch, guests
