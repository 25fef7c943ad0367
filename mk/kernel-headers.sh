#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints the folder of kernel headers to build a module against.
#
# usage: mk/kernel-headers.sh BUILD
#
# That is the newest installed linux-headers-*; or else Debian's current one,
# downloaded and unpacked into BUILD/kernel-headers (14 MB, once), for which
# neither root nor an installation is needed.  Exits with 1 without either.
set -eu

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
    echo "kernel-headers: downloading Debian's" >&2
    if ! download; then
        echo "kernel-headers: linux-headers-$arch is neither installed nor" \
             "can it be downloaded; say make KDIR=FOLDER" >&2
        exit 1
    fi
    headers=$(newest "$root/usr/src")
fi
echo "$headers"
