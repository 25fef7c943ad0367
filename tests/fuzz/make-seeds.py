#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fuzzers' first inputs.

usage: tests/fuzz/make-seeds.py FOLDER

Writes FOLDER/fuzz-ring/*, and so on for each of the fuzz targets:
legal traffic, and each kind of broken rule once, so that a fuzzer need not find
these by itself.
"""

import os
import struct
import sys

# Steps of fuzz-ring.c.
(HEAD, HEAD_ADD, ENTRY, ENTRY_RAW, TAIL, TAIL_ADD, READ, COPY, RELEASE, WRITE,
 PUBLISH, DRAINED) = range(12)


def ring(steps, flags=1, count=0, pos=0):
    """Returns an input of fuzz-ring.c."""
    return (struct.pack('<BII', flags, count, pos) +
            b''.join(struct.pack('<BI', what, x & 0xffffffff)
                     for what, x in steps))


def rings():
    """Returns inputs of fuzz-ring.c by name."""
    receive = [(ENTRY, 60), (HEAD_ADD, 1), (READ, 32), (RELEASE, 0)]
    send = [(WRITE, 1500 << 16 | 1500), (PUBLISH, 0), (TAIL_ADD, 1),
            (DRAINED, 0)]
    offer = [(HEAD_ADD, 1), (READ, 1), (COPY, 2000)]
    seeds = {
        'receive': ring(receive * 20),
        'send': ring(send * 20),
        'overflow': ring((receive + send) * 20, count=2**32 - 5,
                         pos=2**32 - 160),
        'copy': ring([(ENTRY, 1500), (HEAD_ADD, 1), (COPY, 1500),
                      (ENTRY, 1500), (HEAD_ADD, 1), (COPY, 1499)]),
        'full': ring([(WRITE, 61440 << 16 | 61440)] * 3 + send),
        'shrinks': ring([(WRITE, 9000 << 16 | 100), (PUBLISH, 0)],
                        pos=128 * 1024 - 1024),
        'jumps': ring([(WRITE, 9000 << 16 | 9000), (PUBLISH, 0)],
                      pos=128 * 1024 - 1024),
        'head-back': ring([(HEAD_ADD, -1), (READ, 9), (COPY, 99)]),
        'head-far': ring([(HEAD, 1025), (READ, 9)]),
        'tail-far': ring(send + [(TAIL_ADD, 1), (DRAINED, 0)] + send),
        'tail-back': ring(send + [(TAIL_ADD, -1), (DRAINED, 0)] + send),
    }
    for length in (0, 13, 14, 61440, 61441, 61456, 61457, 65535):
        for flags in (0, 1, 2):
            entry = [(ENTRY_RAW, length | flags << 16)]
            seeds['entry-%d-%d' % (length, flags)] = ring(entry + offer)
    return seeds


def message(kind, body=b'', version=1, magic=0x444f4d53):
    """Returns a message of the socket door."""
    return struct.pack('=IHH', magic, version, kind) + body


def messages():
    """Returns inputs of fuzz-socket-msg.c by name."""
    mac = bytes([2, 0, 0, 0, 0, 1])
    config = mac + struct.pack('=HI', 1500, 1)

    def hello(name=b'guest1', queues=1, arena=0, guest_mac=mac):
        return message(1, struct.pack('=QIHH6s2x64s', 7, arena, queues, 0,
                                      guest_mac, name))

    def welcome(features=1, queues=2, fds=2):
        return message(2, struct.pack('=QIHHI', features, 524288, queues, fds,
                                      1) + config)

    return {
        'hello': hello(),
        'hello-name': hello(name=b'a' * 64),
        'hello-queues': hello(queues=17),
        'hello-arena': hello(arena=300000),
        'hello-mac': hello(guest_mac=b'\1' * 6),
        'welcome': welcome(),
        'welcome-doorbell': welcome(features=7, queues=16, fds=34),
        'welcome-fds': welcome(fds=3),
        'ready': message(3),
        'config': message(4, config),
        'refuse': message(5, struct.pack('=I160s', 16, b'attached already')),
        'version': message(1, version=2),
        'type': message(6),
        'short': b'\0',
        'long': hello() * 3,
        'mac': b'02:ab:cd:ef:01:9f',
        'name': b'guest-1.example_2',
    }


def request(size, flags=0, offset=0, gref=8, number=1):
    """Returns a slot of fuzz-netif.c: a request."""
    return struct.pack('<IHHHH', gref, offset, flags, number, size)


def extra(kind, flags=0, size=0, gso=0):
    """Returns a slot of fuzz-netif.c: extra info."""
    return struct.pack('<BBHBBHI', kind, flags, size, gso, 0, 0, 0)


def netif_rings():
    """Returns inputs of fuzz-netif.c by name."""
    csum, more, info = 1, 4, 8
    gso = (request(65226, csum | more | info, 64) + extra(1, 0, 1448, 1) +
           request(4096, more) * 15 + request(3720))
    return {
        'frame': request(60) * 40,
        'two': (request(1514, csum | more, 4000) + request(1460)) * 20,
        'gso': gso * 3,
        'gso6': request(6000, info | more) + extra(1, 0, 1440, 2) +
                request(4096),
        'extras': request(60, info) + extra(4, 1) + extra(1, 0, 1448, 1),
        'twice': request(60, info) + extra(4, 1) + extra(4),
        'multicast': request(60, info) + extra(2) + request(60),
        'unknown': request(60, info) + extra(5),
        'nothing': request(60, info) + extra(0),
        'gso-size': request(60, info) + extra(1, 0, 0, 1),
        'gso-type': request(60, info) + extra(1, 0, 1448, 3),
        'beyond': request(60, 0, 4040),
        'beyond-later': request(60, more) + request(9, 0, 4090),
        'pieces': request(60, more) + request(50, more) + request(20) +
                  request(60),
        'runt': request(13) + request(60),
        'empty': request(60, more) + request(0, more) + request(60),
        'long': request(60, more) * 20,
        'cut': request(60) + request(60, more),
    }


# First byte and steps of fuzz-vring.c.
PACKED, WRITES, EVENT_IDX, IN_ORDER = 1, 2, 4, 8
(WORD, DESC_WORD, DESC_ADDR, DRIVER, DRIVER_RING, TAKE, PUT, NOTIFY, AGAIN,
 CUT) = range(10)
NEXT, WRITE, INDIRECT = 1, 2, 4


def vring(kind, steps):
    """Returns an input of fuzz-vring.c, for a ring of 16 entries."""
    return (struct.pack('<B', kind | 4 << 4) +
            b''.join(struct.pack('<BHQ', what, place, x)
                     for what, place, x in steps))


def split_desc(i, addr, length, flags=0, after=0):
    """Steps that write descriptor 'i' of a split ring, or of a table."""
    return [(WORD, 2 * i, addr),
            (WORD, 2 * i + 1, length | flags << 32 | after << 48)]


def packed_desc(i, addr, length, flags=0, name=0):
    """The same, of a packed ring in its first round."""
    return [(WORD, 2 * i, addr),
            (WORD, 2 * i + 1, length | name << 32 | (flags | 0x80) << 48)]


def vrings():
    """Returns inputs of fuzz-vring.c by name."""
    data, table, hole = 0x7000, 0x4000 + 0x1000, 0x100000
    work = [(TAKE, 0, 32), (PUT, 0, 32), (NOTIFY, 0, 1), (NOTIFY, 0, 0)]
    seeds = {}

    def both(name, chain, inside=()):
        """'chain' and 'inside' are lists of (addr, length, flags)."""
        for kind in (0, WRITES, EVENT_IDX, IN_ORDER | WRITES | EVENT_IDX):
            direction = WRITE if kind & WRITES else 0
            steps = []
            for i, (addr, length, flags) in enumerate(inside):
                steps += split_desc(0x100 + i, addr, length, flags | direction,
                                    i + 1)
            packed = list(steps)
            for i, (addr, length, flags) in enumerate(chain):
                flags |= 0 if flags & INDIRECT else direction
                steps += split_desc(i, addr, length, flags, i + 1)
                packed += packed_desc(i, addr, length, flags, i)
            steps += [(DRIVER_RING, 0, 0), (DRIVER, 1, 1)]
            seeds['split-%s-%d' % (name, kind)] = vring(kind, steps + work)
            seeds['packed-%s-%d' % (name, kind)] = vring(
                kind | PACKED, packed + work + [(AGAIN, 0, 1)] + work)

    both('one', [(data, 76, 0)])
    both('two', [(data, 12, NEXT), (data + 64, 60, 0)])
    both('table', [(table, 32, INDIRECT)],
         [(data, 12, NEXT), (data + 64, 60, 0)])
    both('border', [(0x8000 - 10, 76, 0)])
    both('empty', [(data, 0, 0)])
    both('hole', [(hole, 76, 0)])
    both('wrap', [(2**64 - 1, 76, 0)])
    both('huge', [(data, 16, NEXT), (data, 2**32 - 1, 0)])
    both('endless', [(data, 76, NEXT)] * 16)
    both('nested', [(table, 32, INDIRECT)], [(table, 16, INDIRECT)])
    both('table-next', [(table, 32, INDIRECT | NEXT)])
    both('table-odd', [(table, 33, INDIRECT)])
    both('table-long', [(table, 16 * 1025, INDIRECT)])
    both('wrong-way', [(data, 76, WRITE)])
    seeds['split-far'] = vring(0, [(DRIVER, 1, 17)] + work)
    seeds['split-index'] = vring(0, [(DRIVER_RING, 0, 16), (DRIVER, 1, 1)]
                                 + work)
    frame = (bytes.fromhex('020000000001020000000002' '0800'
                           '45000000000040004006' '0000' '0a000001' '0a000002'
                           '1234' '5678' '00000000' '00000000' '5018' 'ffff'
                           '0000' '0000') + bytes(2))
    steps = [(CUT, i, struct.unpack('<Q', frame[i:i + 8])[0])
             for i in range(0, len(frame) - 7, 8)]
    for length in (54, 55, 1514, 65000):
        seeds['cut-%d' % length] = vring(0, steps + [
            (CUT, 100, (1448 | 34 << 16 | length << 32) ^ 100)])
    return seeds


def main():
    """Writes all seeds."""
    if len(sys.argv) != 2:
        sys.exit('usage: make-seeds.py FOLDER')
    for target, seeds in (('fuzz-ring', rings()),
                          ('fuzz-socket-msg', messages()),
                          ('fuzz-netif', netif_rings()),
                          ('fuzz-vring', vrings())):
        folder = os.path.join(sys.argv[1], target)
        os.makedirs(folder, exist_ok=True)
        for name, data in seeds.items():
            with open(os.path.join(folder, name), 'wb') as seed:
                seed.write(data)


if __name__ == '__main__':
    main()
