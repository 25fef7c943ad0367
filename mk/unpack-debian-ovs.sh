#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks, without installing it, Debian's openvswitch-switch into
# BUILD/debian-ovs: ovs-vsctl and the database's schema for demo and tests, and
# the ovs-vswitchd that domsd is compared with.  Installing the package would
# start a system-wide Open vSwitch.
#
# usage: mk/unpack-debian-ovs.sh BUILD
set -eu

build=$(mkdir -p "$1" && cd "$1" && pwd)
version=$(dpkg-query -W -f '${Version}' openvswitch-common)
stamp=$build/debian-ovs/.unpacked-$version
[ ! -f "$stamp" ] || exit 0

echo "  UNPACK  openvswitch-switch $version"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# The sandbox user of apt-get cannot write here and is not needed.
if ! (cd "$dir" && { apt-get -q download -o APT::Sandbox::User=root \
                         "openvswitch-switch=$version" ||
                     { apt-get -q update &&
                       apt-get -q download -o APT::Sandbox::User=root \
                           "openvswitch-switch=$version"; }; }) \
        >"$dir/log" 2>&1; then
    cat "$dir/log" >&2
    echo "unpack-debian-ovs: cannot download openvswitch-switch $version;" \
         "is Debian's archive in /etc/apt/sources.list?" >&2
    exit 1
fi
rm -rf "$build/debian-ovs"
dpkg -x "$dir"/openvswitch-switch_*.deb "$build/debian-ovs"
touch "$stamp"
