#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds a kernel module out of common/'s headers and does not load it.
#
# usage: tests/kernel-header/check.sh BUILD
#
# BUILD is the project's build folder.  The kernel is Debian's: its installed
# linux-headers-*-amd64, or else that package and the two that it needs,
# downloaded and unpacked into BUILD/kernel-headers (14 MB, once), for which
# neither root nor an installation is needed.  Without either, exits with 77.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(mkdir -p "$1" && cd "$1" && pwd)
arch=$(dpkg --print-architecture)
root=$build/kernel-headers

# Prints the newest headers' folder below folder $1, if there is one.
newest() {
    for dir in "$1"/linux-headers-*-"$arch"; do
        if [ -f "$dir/Makefile" ]; then
            echo "$dir"
        fi
    done | sort -V | tail -n 1
}

# Unpacks Debian's current headers into $root.
download() {
    package=$(apt-cache depends "linux-headers-$arch" 2>/dev/null |
              awk '$1 == "Depends:" { print $2; exit }')
    [ -n "$package" ] || return 1
    rm -rf "$root"
    mkdir -p "$root/deb"
    packages="$package $(apt-cache depends "$package" | awk '
        $1 == "Depends:" && $2 ~ /^linux-(headers|kbuild)-/ { print $2 }')"
    (cd "$root/deb" &&
     apt-get download -q $packages >"$root/log" 2>&1) || return 1
    for deb in "$root"/deb/*.deb; do
        dpkg -x "$deb" "$root" || return 1
    done
    # The packages name each other by absolute paths.
    sed -i "s|/usr/src/|$root/usr/src/|g" "$root"/usr/src/*/Makefile
    rm -r "$root/deb"
}

headers=$(newest /usr/src)
[ -n "$headers" ] || headers=$(newest "$root/usr/src")
if [ -z "$headers" ]; then
    echo "kernel-header: downloading Debian's kernel headers"
    if ! download; then
        echo "kernel-header: skipped: linux-headers-$arch is neither" \
             "installed nor can it be downloaded" >&2
        exit 77
    fi
    headers=$(newest "$root/usr/src")
fi

out=$build/kernel-header-check
rm -rf "$out"
mkdir -p "$out"
cp "$top/tests/kernel-header/Kbuild" \
   "$top/tests/kernel-header/doms_header_check.c" "$out"
if ! make -s -C "$headers" M="$out" DOMS_ROOT="$top" KBUILD_MODPOST_WARN=1 \
     modules >"$out/log" 2>&1 || [ ! -f "$out/doms_header_check.ko" ]; then
    cat "$out/log" >&2
    echo "kernel-header: FAILED: common/ does not compile in" \
         "$(basename "$headers")" >&2
    exit 1
fi
echo "kernel-header: doms_header_check.ko, $(basename "$headers"), ok"
