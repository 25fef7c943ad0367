#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds Debian's Open vSwitch source, unpatched, into a cached folder.
#
# usage: mk/build-ovs.sh BUILD VARIANT
#
# BUILD is the project's build folder; VARIANT is 'release' or 'asan'.  The
# result lies in BUILD/ovs/VARIANT, a link to a folder whose name holds the
# package's version and a hash of all that goes into the build, so that a change
# of either builds anew and anything else costs nothing.
#
# In the folder: openvswitch/ (source), obj/ (build tree).  The OVS build writes
# into its source tree, hence the private copy.
set -eu

build=$(mkdir -p "$1" && cd "$1" && pwd)
variant=$2
tarball=/usr/src/openvswitch/openvswitch.tar.gz

if [ ! -f "$tarball" ]; then
    echo "build-ovs: $tarball is missing; run 'make deps' or" \
         "'apt-get install openvswitch-source'" >&2
    exit 1
fi

# x86-64-v2 is what every Xen 4.17 host has, and the AVX512 variants, which are
# chosen at run time, are only compiled in from SSE4.2 on.
common="-g -O3 -fno-omit-frame-pointer"
case $(uname -m) in
x86_64) common="$common -msse4.2 -mpopcnt" ;;
esac
case $variant in
release) cflags="$common" ;;
asan) cflags="-g -O1 -fno-omit-frame-pointer -msse4.2 -mpopcnt
              -fsanitize=address,undefined -fno-sanitize=alignment,shift" ;;
*) echo "build-ovs: unknown variant '$variant'" >&2; exit 1 ;;
esac
cflags=$(echo $cflags)
configure_flags="--enable-static --disable-shared --enable-ssl
                 --disable-afxdp --prefix=/usr --localstatedir=/var --sysconfdir=/etc"
targets="lib/libopenvswitch.la lib/libopenvswitchavx512.la lib/libsflow.la
         ofproto/libofproto.la vswitchd/bridge.o vswitchd/system-stats.o
         lib/vswitch-idl.h"

version=$(dpkg-query -W -f '${Version}' openvswitch-source)
key=$( (echo "$cflags" "$configure_flags"; gcc -dumpfullversion) |
      sha256sum | cut -c1-12)
dir=$build/ovs/$version-$variant-$key

if [ ! -f "$dir/.built" ]; then
    echo "  OVS     $version ($variant): unpacking and configuring"
    rm -rf "$dir"
    mkdir -p "$dir/obj"
    tar -xzf "$tarball" -C "$dir"
    log=$dir/build.log
    fail() {
        tail -n 30 "$log" >&2
        echo "build-ovs: $1 failed, see $log" >&2
        exit 1
    }
    cd "$dir/obj"
    ../openvswitch/configure -q $configure_flags CFLAGS="$cflags" \
        >"$log" 2>&1 || fail configure
    echo "  OVS     $version ($variant): compiling," \
         "about two minutes on two cores, once"
    # The named targets do not depend on the generated headers by themselves.
    {
        echo 'include Makefile'
        echo 'doms-headers: $(BUILT_SOURCES) config.h'
    } >doms.mk
    make -s -f doms.mk doms-headers >>"$log" 2>&1 || fail 'making its headers'
    make -s -j"$(nproc)" $targets >>"$log" 2>&1 || fail make
    touch "$dir/.built"
fi
ln -sfn "$(basename "$dir")" "$build/ovs/$variant"
