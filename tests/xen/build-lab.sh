#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the images of the lab in BUILD/xen-lab from Debian packages and this
# build:
#
#   xen         the hypervisor, decompressed
#   vmlinux     the kernel of all domains, decompressed
#   dom0.cpio   Dom0's root; /guest has the guests' kernel and root, and
#               DomS's root
#   guest.cpio  a guest's root
#   doms/       the image of DomS, by xen-config/build-doms.sh
#
# Xen is unpacked, not installed, so that it does not become this machine's own
# hypervisor.  Each step is redone only if what goes into it has changed.
#
# usage: tests/xen/build-lab.sh BUILD
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
[ $# = 1 ] || { echo "usage: tests/xen/build-lab.sh BUILD" >&2; exit 2; }
build=$(mkdir -p "$1" && cd "$1" && pwd)
lab=$build/xen-lab
# shellcheck source=xen-config/lib-image.sh
. "$top/xen-config/lib-image.sh"

xen_package=xen-hypervisor-4.17-amd64
tree_packages="xen-utils-4.17 xenstore-utils kmod iproute2 bridge-utils iperf3
    ethtool procps bash libgcc-s1 iputils-ping"
dom0_modules="xen-gntalloc xen-gntdev xen-evtchn xenfs xen-privcmd xen-netback
    xen-blkback xen-pciback loop bridge openvswitch crc32c_generic 9p
    9pnet_virtio virtio_pci"
guest_modules="xen-gntalloc xen-gntdev xen-evtchn xenfs xen-privcmd
    xen-netfront xen-netback bridge openvswitch crc32c_generic 8021q"
# What of this build runs in Dom0 and in guests.
module=$build/kernel/doms_front.ko
dom0_programs="$build/release/bin/doms-ctl $build/release/bin/doms-watchdog"

unpack_xen() {
    local version
    version=$(candidate $xen_package)
    is_fresh xen "$lab/xen" "$version" && return
    local k=$key
    unpack $xen_package "$version" "$cache/xen-files"
    gzip -dc "$cache"/xen-files/boot/xen-4.17-amd64.gz >"$lab/xen"
    done_with xen "$k"
}

# A Debian system of which the roots take what they need.
make_tree() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    is_fresh tree "$tree" "$suite" $tree_packages && return
    local k=$key
    echo "  TREE    $suite, for Dom0 and guests"
    rm -rf "$tree"
    if ! mmdebstrap --variant=minbase --format=directory \
            --include="$(echo $tree_packages | tr ' ' ,)" \
            "$suite" "$tree" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        fail "mmdebstrap failed; can this machine reach Debian's archive?"
    fi
    done_with tree "$k"
}

make_guest() {
    local name inputs root=$work/guest
    [ -f "$module" ] || fail "$module is missing; run 'make module' first"
    inputs=("$(digest "$0" "$lib" "$here/init-guest" "$here"/{grants,udp-blast}.c \
                   "$here"/hostile-*.[ch] "$top"/common/*.h \
                   "$module" /bin/busybox)"
            "$(cat "$cache/.tree.key" "$cache/.kernel.key")")
    is_fresh guest "$lab/guest.cpio" "${inputs[@]}" && return
    local k=$key
    echo "  PACK    guest.cpio"
    start_root "$root"
    take "$root" "$tree" /bin/ip /usr/bin/iperf3 /usr/sbin/ethtool /usr/bin/ping
    # What the kernel runs for 'xl shutdown' and 'xl reboot'.  busybox's own
    # would ask init.
    for name in poweroff reboot; do
        printf '#!/bin/sh\nexec /bin/busybox %s -f\n' $name \
            >"$root/sbin/$name"
        chmod 755 "$root/sbin/$name"
    done
    take_busybox "$root"
    take_modules "$root" $guest_modules
    install -D -m 644 -t "$root/lib/modules/$kernel/extra" "$module"
    depmod -b "$root" "$kernel"
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/grants" \
        "$here/grants.c" -lxengnttab -lxenstore -lxentoolcore -lxentoollog -lpthread -ldl
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static \
        -o "$root/bin/udp-blast" "$here/udp-blast.c"
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -I "$top" \
        -o "$root/bin/hostile-switch" "$here"/hostile-*.c \
        -lxengnttab -lxenstore -lxentoolcore -lxentoollog -lpthread -ldl
    install -m 755 "$here/init-guest" "$root/init"
    pack "$root" "$lab/guest.cpio"
    done_with guest "$k"
}

make_dom0() {
    local inputs root=$work/dom0 program
    for program in $dom0_programs; do
        [ -f "$program" ] || fail "$program is missing; run 'make' first"
    done
    inputs=("$(digest "$0" "$lib" "$here/init-dom0" "$config" /bin/busybox \
                   $dom0_programs)"
            "$(cat "$cache"/.{tree,kernel,guest,doms-true}.key)")
    is_fresh dom0 "$lab/dom0.cpio" "${inputs[@]}" && return
    local k=$key
    echo "  PACK    dom0.cpio"
    start_root "$root"
    take "$root" "$tree" $(cd "$tree" && find usr/lib/xen-4.17/bin usr/bin/xenstore* \
            usr/sbin/xenstored -type f -printf '/%p\n' 2>/dev/null) \
        /bin/bash /bin/ip /sbin/bridge /usr/bin/iperf3 /usr/sbin/ethtool \
        /usr/sbin/brctl /usr/bin/ping /usr/bin/kmod /usr/bin/flock \
        /usr/bin/stat /sbin/losetup /bin/grep /bin/sed /bin/ps /bin/top \
        /lib/x86_64-linux-gnu/libgcc_s.so.1
    ln -sf ../bin/kmod "$root/sbin/modprobe"
    cp -a "$tree/etc/xen" "$root/etc/xen"
    take_busybox "$root"
    take_modules "$root" $dom0_modules
    for program in $dom0_programs; do
        take_program "$root" "$program" /usr/bin
    done
    mkdir "$root/guest"
    cp "$lab/vmlinux" "$lab/guest.cpio" "$root/guest"
    # lab.py adds to the configuration what the lab has otherwise.
    install -D -m 644 "$config" "$root/etc/doms/doms.cfg.shipped"
    install -D -m 644 -t "$root/var/lib/doms" "$lab/doms/initramfs"
    ln -s /guest/vmlinux "$root/var/lib/doms/vmlinuz"
    install -m 755 "$here/init-dom0" "$root/init"
    pack "$root" "$lab/dom0.cpio"
    done_with dom0 "$k"
}

[ "$(id -u)" = 0 ] || { echo "build-lab: needs root, to make Dom0's tree" >&2
                        exit 1; }
mkdir -p "$lab"
"$top/xen-config/build-doms.sh" --build "$build" --output "$lab/doms" \
    --modules e1000e --raw
start_images build-lab "$build/image-cache"
# That of the headers, for which the module is built, as is DomS's.
find_kernel
tree=$cache/tree
lib=$top/xen-config/lib-image.sh
config=$top/xen-config/doms.cfg
unpack_xen
unpack_kernel
ln -f "$cache/vmlinux" "$lab/vmlinux"
make_tree
make_guest
make_dom0
