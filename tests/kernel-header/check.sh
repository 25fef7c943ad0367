#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Builds kernel code without loading it: a module out of common/'s headers that
# uses all of them, and doms_front.ko with all warnings, sparse and a check of
# its style.
#
# usage: tests/kernel-header/check.sh BUILD
#
# BUILD is the project's build folder.  The kernel is Debian's, see
# mk/kernel-headers.sh; without its headers, exits with 77.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(mkdir -p "$1" && cd "$1" && pwd)

headers=$("$top/mk/kernel-headers.sh" "$build") || exit 77

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
if ! make -s -C "$top" BUILD="$build" KDIR="$headers" module-check \
     >"$out/log" 2>&1; then
    cat "$out/log" >&2
    echo "kernel-header: FAILED: doms_front.ko does not pass its checks in" \
         "$(basename "$headers")" >&2
    exit 1
fi
echo "kernel-header: doms_header_check.ko, doms_front.ko," \
     "$(basename "$headers"), ok"
