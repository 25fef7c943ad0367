#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks, without installing it, Debian's openvswitch-switch into
# BUILD/debian-ovs: ovs-vsctl and the database's schema for demo and tests, and
# the ovs-vswitchd that domsd is compared with; or openvswitch-switch-dpdk into
# BUILD/debian-ovs-dpdk.  Installing the package would start a system-wide Open
# vSwitch.
#
# usage: mk/unpack-debian-ovs.sh BUILD [dpdk]
set -eu

build=$(mkdir -p "$1" && cd "$1" && pwd)
flavour=${2:+-$2}
package=openvswitch-switch$flavour
target=$build/debian-ovs$flavour
version=$(dpkg-query -W -f '${Version}' openvswitch-common)
stamp=$target/.unpacked-$version
[ ! -f "$stamp" ] || exit 0

echo "  UNPACK  $package $version"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# The sandbox user of apt-get cannot write here and is not needed.
if ! (cd "$dir" && { apt-get -q download -o APT::Sandbox::User=root \
                         "$package=$version" ||
                     { apt-get -q update &&
                       apt-get -q download -o APT::Sandbox::User=root \
                           "$package=$version"; }; }) \
        >"$dir/log" 2>&1; then
    cat "$dir/log" >&2
    echo "unpack-debian-ovs: cannot download $package $version;" \
         "is Debian's archive in /etc/apt/sources.list?" >&2
    exit 1
fi
rm -rf "$target"
dpkg -x "$dir/$package"_*.deb "$target"
touch "$stamp"
