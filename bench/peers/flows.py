# SPDX-License-Identifier: Apache-2.0
"""The cases: what an Open vSwitch is told to do between guests A and B.

Each function returns the lines of a flow table for ovs-ofctl.  Port names are
'a' and 'b' on every switch, and the frames are those of bench/traffic.c.
"""

MAC = {'a': '02:00:00:00:00:0a', 'b': '02:00:00:00:00:0b'}
IP = {'a': '10.0.0.10', 'b': '10.0.0.11'}
VTEP_MAC = {'a': '02:00:00:00:01:0a', 'b': '02:00:00:00:01:0b'}
VTEP_IP = {'a': '172.16.0.10', 'b': '172.16.0.11'}

# UDP ports of the flows, as in bench/traffic.h.
SRC_PORT, SRC_PORTS, DST_PORT = 10000, 1000, 20000

BOTH = (('a', 'b'), ('b', 'a'))


def in_port():
    return ['in_port=%s,actions=output:%s' % way for way in BOTH]


def dl_dst():
    return ['in_port=%s,dl_dst=%s,actions=output:%s' % (x, MAC[y], y)
            for x, y in BOTH]


def normal():
    return ['actions=NORMAL']


def many(number):
    """A flow of its own for each pair of UDP ports, and one back."""
    return ['in_port=b,actions=output:a'] + [
        'in_port=a,udp,tp_src=%d,tp_dst=%d,actions=output:b'
        % (SRC_PORT + i % SRC_PORTS, DST_PORT + i // SRC_PORTS)
        for i in range(number)]


def acl():
    """Ten tables, one after the other, as a firewall or a cloud's switch has
    them: where a frame may come from, what it may be, where it goes."""
    rules = []
    for x, y in BOTH:
        rules += [
            'table=0,in_port=%s,dl_src=%s,actions=goto_table:1' % (x, MAC[x]),
            'table=1,dl_src=%s,ip,nw_src=%s,actions=goto_table:2'
            % (MAC[x], IP[x]),
            'table=6,udp,nw_dst=%s,actions=goto_table:7' % IP[y],
            'table=9,dl_dst=%s,actions=output:%s' % (MAC[y], y)]
    rules += ['table=2,vlan_tci=0x0000/0x1fff,actions=goto_table:3',
              'table=3,ip,nw_tos=0,actions=goto_table:4',
              'table=4,udp,nw_frag=no,actions=goto_table:5',
              'table=5,udp,tp_src=0x2000/0xe000,actions=goto_table:6',
              'table=7,udp,actions=goto_table:8',
              'table=8,priority=0,actions=goto_table:9']
    # What is forbidden, among which each frame is looked for.
    for i in range(1, 65):
        rules += ['table=2,priority=9,ip,nw_src=192.0.2.%d,actions=drop' % i,
                  'table=4,priority=9,tcp,tp_dst=%d,actions=drop' % i,
                  'table=7,priority=9,udp,tp_dst=%d,actions=drop' % i,
                  'table=8,priority=9,dl_dst=02:00:00:00:02:%02x,actions=drop'
                  % i]
    return rules


def tunnel():
    """Guest A behind a VXLAN tunnel, guest B as the other host."""
    return ['in_port=a,actions=output:vx', 'in_port=vx,actions=output:a',
            'in_port=underlay,actions=output:b',
            'in_port=b,actions=output:underlay']


# Name: flow table, number of flows sent.
CASES = {
    'in_port': (in_port, 1),
    'dl_dst': (dl_dst, 1),
    'normal': (normal, 1),
    'flows-1000': (lambda: many(1000), 1000),
    'flows-100000': (lambda: many(100000), 100000),
    'acl': (acl, 1000),
    'tunnel': (tunnel, 1),
    's2h': (in_port, 1),
}
