#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds what Open vSwitch's own test suite needs beside the daemon under test:
# the tools, ovsdb-server and the suite's helper programs.  Prints the folder.
#
# usage: tests/ovs/build-suite.sh BUILD
#
# The result lies in BUILD/ovs/suite/NAME, where NAME is that of the OVS build
# that it starts from, so that it is made once for each such build.  It works
# in a copy: domsd links against the original, which must not change under it.
# The copy's own ovs-vswitchd is left out, so that no test can run it by
# mistake.  The copy is not configured again: that would rewrite headers and
# so compile the libraries anew.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(mkdir -p "$1" && cd "$1" && pwd)
programs="utilities/ovs-appctl utilities/ovs-dpctl utilities/ovs-ofctl
          utilities/ovs-testcontroller utilities/ovs-vsctl ovsdb/ovsdb-client
          ovsdb/ovsdb-server ovsdb/ovsdb-tool tests/ovstest"

"$top/mk/build-ovs.sh" "$build" release >&2
original=$(readlink -f "$build/ovs/release")
dir=$build/ovs/suite/$(basename "$original")

mkdir -p "$build/ovs/suite"
exec 9>"$build/ovs/suite/.lock"
flock 9
if [ ! -f "$dir/.suite-built" ]; then
    echo "  OVS     test suite: compiling, half a minute on two cores, once" >&2
    rm -rf "$dir"
    cp -a "$original" "$dir"
    cd "$dir/obj"
    {
        echo 'include Makefile'
        echo 'suite: $(SCRIPTS) $(check_SCRIPTS) $(check_DATA)'
    } >suite.mk
    # The system's Python, whatever else the caller's PATH offers.
    if ! PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            make -s -j2 -f suite.mk PYTHON3=/usr/bin/python3 suite $programs \
            >"$dir/suite.log" 2>&1 9>&-
    then
        tail -n 30 "$dir/suite.log" >&2
        echo "build-suite: make failed, see $dir/suite.log" >&2
        exit 1
    fi
    touch "$dir/.suite-built"
fi
echo "$dir"
