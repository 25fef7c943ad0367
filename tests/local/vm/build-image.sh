#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes in BUILD/vm what the cases about VMs boot:
#
#   vmlinux    Debian's kernel, decompressed
#   initramfs  its virtio drivers, and programs of this machine's, with 'init'
#              of this folder
#
# Each step is redone only if what goes into it has changed.
#
# usage: tests/local/vm/build-image.sh BUILD
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../../..
[ $# = 1 ] || { echo "usage: tests/local/vm/build-image.sh BUILD" >&2; exit 2; }
build=$(mkdir -p "$1" && cd "$1" && pwd)
vm=$build/vm
lib=$top/xen-config/lib-image.sh
# shellcheck source=xen-config/lib-image.sh
. "$lib"

# busybox as the shell would run its own ip and ping.
programs="/bin/sh /bin/ip /bin/ss /usr/bin/iperf3 /usr/sbin/ethtool /bin/ping
    /usr/bin/flock"
modules="virtio_pci virtio_console virtio_net"

make_initramfs() {
    local root=$work/root
    # shellcheck disable=SC2086  # Several words.
    is_fresh vm "$vm/initramfs" "$modules" "$(cat "$cache/.kernel.key")" \
        "$(digest "$0" "$lib" "$here"/{init,nic} /bin/busybox $programs)" \
        && return
    local k=$key
    echo "  PACK    vm/initramfs"
    start_root "$root"
    # shellcheck disable=SC2086
    take "$root" / $programs
    take_busybox "$root"
    # shellcheck disable=SC2086
    take_modules "$root" $modules
    install -m 755 -t "$root/bin" "$here/nic"
    install -m 755 "$here/init" "$root/init"
    pack "$root" "$vm/initramfs"
    done_with vm "$k"
}

mkdir -p "$vm"
start_images build-image "$build/image-cache"
find_kernel
unpack_kernel
ln -f "$cache/vmlinux" "$vm/vmlinux"
make_initramfs
