#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the packages that the file named by the first argument lists (the
# first word of each line), if any is missing.  Does nothing, and needs neither
# root nor a network, when all are there.
set -eu

missing=
for package in $(sed 's/#.*//' "$1" | awk 'NF { print $1 }'); do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "deps: these packages are missing:$missing" >&2
    echo "deps: run 'make deps' as root, or install them" >&2
    exit 1
fi
echo "  DEPS   $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q &&
       apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1
then
    tail -n 20 "$log" >&2
    echo "deps: apt-get failed; is this Debian 12 with its archive in" \
         "/etc/apt/sources.list?" >&2
    exit 1
fi
