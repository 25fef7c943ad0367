#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Shows that 'make install' puts everything in place: a program outside of this
# tree compiles and links against the installed library by pkg-config alone,
# and the installed programs run.
#
# usage: tests/install.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT

env -u MAKEFLAGS -u MAKELEVEL make -s -C "$top" BUILD="$build" \
    DESTDIR="$dest" prefix=/usr install >/dev/null

for file in usr/sbin/domsd usr/bin/doms-ctl usr/bin/doms-tap \
    usr/bin/doms-local usr/lib/libdomsfront.a usr/lib/libdomsfront.so \
    usr/include/doms/domsfront.h usr/share/man/man8/doms-ctl.8 \
    usr/share/man/man8/domsd.8 usr/share/man/man1/doms-tap.1 \
    usr/share/man/man3/libdomsfront.3 \
    usr/share/doms/vswitch.ovsschema \
    usr/share/bash-completion/completions/doms-ctl; do
    if [ ! -s "$dest/$file" ]; then
        echo "install: $file is missing" >&2
        exit 1
    fi
done

cat >"$dest/user.c" <<'END'
#include <stdio.h>
#include <doms/domsfront.h>

int
main(void)
{
    struct domsfront_config config = { .name = "not a name" };
    struct domsfront *front;

    if (!domsfront_open(&config, &front)) {
        return 1;
    }
    puts(domsfront_last_error());
    return 0;
}
END
export PKG_CONFIG_SYSROOT_DIR="$dest" PKG_CONFIG_LIBDIR="$dest/usr/lib/pkgconfig"
for static in '' --static; do
    flags=$(pkg-config $static --cflags --libs libdomsfront)
    # shellcheck disable=SC2086
    ${CC:-gcc} -Wall -Werror -o "$dest/user" "$dest/user.c" $flags \
        ${static:+-static}
    LD_LIBRARY_PATH=$dest/usr/lib "$dest/user" | grep -q name
done

"$dest/usr/sbin/domsd" --version | grep -q 'Open vSwitch'
"$dest/usr/bin/doms-ctl" version >/dev/null
"$dest/usr/bin/doms-tap" --help >/dev/null
"$dest/usr/bin/doms-local" --help >/dev/null
for page in "$dest"/usr/share/man/man?/*; do
    man --warnings -l "$page" >/dev/null 2>"$dest/man.log" || :
    if [ -s "$dest/man.log" ]; then
        cat "$dest/man.log" >&2
        exit 1
    fi
done
echo "install: ok"
