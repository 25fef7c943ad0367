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
    DESTDIR="$dest" prefix=/opt/doms install >/dev/null

for file in opt/doms/sbin/domsd opt/doms/bin/doms-ctl opt/doms/bin/doms-tap \
    opt/doms/bin/doms-local opt/doms/lib/libdomsfront.a opt/doms/lib/libdomsfront.so \
    opt/doms/include/doms/domsfront.h opt/doms/share/man/man8/doms-ctl.8 \
    opt/doms/sbin/doms-watchdog opt/doms/share/man/man8/doms-watchdog.8 \
    opt/doms/lib/systemd/system/doms-watchdog.service \
    opt/doms/lib/systemd/system/doms-setter.service \
    opt/doms/share/doms/doms.conf \
    opt/doms/bin/doms-setter opt/doms/share/man/man8/doms-setter.8 \
    opt/doms/share/man/man8/domsd.8 opt/doms/share/man/man1/doms-tap.1 \
    opt/doms/share/man/man3/libdomsfront.3 \
    opt/doms/share/doms/vswitch.ovsschema \
    opt/doms/share/bash-completion/completions/doms-ctl; do
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
export PKG_CONFIG_SYSROOT_DIR="$dest" PKG_CONFIG_LIBDIR="$dest/opt/doms/lib/pkgconfig"
for static in '' --static; do
    flags=$(pkg-config $static --cflags --libs libdomsfront)
    # shellcheck disable=SC2086
    ${CC:-gcc} -Wall -Werror -o "$dest/user" "$dest/user.c" $flags \
        ${static:+-static}
    LD_LIBRARY_PATH=$dest/opt/doms/lib "$dest/user" | grep -q name
    # shellcheck disable=SC2086
    ${CC:-gcc} -Wall -Werror -o "$dest/echo" \
        "$top/guestfront/lib/examples/echo.c" $flags
done

"$dest/opt/doms/sbin/domsd" --version | grep -q 'Open vSwitch'
"$dest/opt/doms/bin/doms-ctl" version >/dev/null
# Away from Xen it says so, which is as far as it comes.
"$dest/opt/doms/sbin/doms-watchdog" 2>&1 | grep -q Xen
"$dest/opt/doms/bin/doms-tap" --help >/dev/null
"$dest/opt/doms/bin/doms-setter" --help >/dev/null
"$dest/opt/doms/bin/doms-local" --help >/dev/null
for page in "$dest"/opt/doms/share/man/man?/*; do
    man --warnings -l "$page" >/dev/null 2>"$dest/man.log" || :
    if [ -s "$dest/man.log" ]; then
        cat "$dest/man.log" >&2
        exit 1
    fi
done
echo "install: ok"
