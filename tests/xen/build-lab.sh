#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the images of the lab in BUILD/xen-lab from Debian packages:
#
#   xen         the hypervisor, decompressed
#   vmlinux     the kernel of Dom0 and of guests, decompressed
#   dom0.cpio   Dom0's root, which also holds the guests' kernel and root
#   guest.cpio  a guest's root
#
# Xen and the kernel are unpacked, not installed, so that they do not become
# this machine's own boot files.  Each step is redone only if what goes into it
# has changed.
#
# usage: tests/xen/build-lab.sh BUILD
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: tests/xen/build-lab.sh BUILD" >&2; exit 2; }
lab=$(mkdir -p "$1/xen-lab" && cd "$1/xen-lab" && pwd)

xen_package=xen-hypervisor-4.17-amd64
tree_packages="xen-utils-4.17 xenstore-utils kmod iproute2 bridge-utils iperf3
    ethtool procps bash libgcc-s1 iputils-ping"
dom0_modules="xen-gntalloc xen-gntdev xen-evtchn xenfs xen-privcmd xen-netback
    xen-pciback bridge openvswitch crc32c_generic 9p 9pnet_virtio virtio_pci"
guest_modules="xen-gntalloc xen-gntdev xen-evtchn xenfs xen-privcmd
    xen-netfront xen-netback xen-pcifront e1000 bridge openvswitch
    crc32c_generic 8021q"

fail() {
    echo "build-lab: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "needs root, to make Dom0's tree"
exec 9>"$lab/.lock"
flock -w 600 9 || fail "another build holds $lab/.lock"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Succeeds if step $1 was last done with the same rest of the arguments.  Else
# forgets that it was done, since what it made is about to be replaced.
is_fresh() {
    local step=$1
    shift
    key=$(printf '%s\n' "$@" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$lab/.$step.key" 2>/dev/null)" != "$key" ] || return 0
    rm -f "$lab/.$step.key"
    return 1
}
# Step $1 is done, with the key that is_fresh() has just computed.
done_with() {
    echo "$2" >"$lab/.$1.key"
}

# Prints a digest of the contents and modes of files.
digest() {
    stat -c %a "$@"
    cat "$@" | sha256sum
}

# Downloads package $1 in version $2 and unpacks it to $lab/$3.
unpack() {
    local package=$1 version=$2 dir=$lab/$3
    local download=(apt-get -q download -o APT::Sandbox::User=root
                    "$package=$version")
    echo "  UNPACK  $package $version"
    if ! (cd "$work" && { "${download[@]}" ||
                          { apt-get -q update && "${download[@]}"; }; }) \
            >"$work/log" 2>&1; then
        cat "$work/log" >&2
        fail "cannot download $package $version; is Debian's archive in" \
             "/etc/apt/sources.list, and are the packages of" \
             "mk/packages-lab.txt up to date?"
    fi
    rm -rf "$dir"
    dpkg -x "$work/${package}"_*.deb "$dir"
}

# The version that apt-get would install of package $1.
candidate() {
    apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'
}

unpack_xen() {
    local version
    version=$(candidate $xen_package)
    [ -n "$version" ] || { apt-get -q update >"$work/log" 2>&1 || :
                           version=$(candidate $xen_package); }
    [ -n "$version" ] || fail "Debian's package lists do not have" \
        "$xen_package; this needs Debian 12"
    is_fresh xen "$version" && return
    local k=$key
    unpack $xen_package "$version" xen-files
    gzip -dc "$lab"/xen-files/boot/xen-4.17-amd64.gz >"$lab/xen"
    done_with xen "$k"
}

# The kernel's version is that of the headers, so that a module built against
# these loads.
find_kernel() {
    local package
    package=$(dpkg-query -W -f '${Depends}' linux-headers-amd64 |
              grep -o 'linux-headers-[0-9][^ ,]*-amd64' | head -n 1) ||
        fail "linux-headers-amd64 is not installed; run 'make lab'"
    kernel_version=$(dpkg-query -W -f '${Version}' "$package")
    kernel=${package#linux-headers-}
}

unpack_kernel() {
    is_fresh kernel "$kernel $kernel_version" && return
    local k=$key
    unpack "linux-image-$kernel" "$kernel_version" kernel-files
    # A bzImage's header tells where the compressed kernel is.  The last four
    # bytes of that are its size.
    python3 - "$lab/kernel-files/boot/vmlinuz-$kernel" "$lab/vmlinux" <<'END'
import lzma
import struct
import sys

with open(sys.argv[1], 'rb') as f:
    image = f.read()
start, size = struct.unpack_from('<II', image, 0x248)
start += (image[0x1f1] + 1) * 512
elf = lzma.decompress(image[start:start + size - 4])
if elf[:4] != b'\x7fELF':
    sys.exit('build-lab: %s does not hold an ELF kernel' % sys.argv[1])
with open(sys.argv[2], 'wb') as f:
    f.write(elf)
END
    depmod -b "$lab/kernel-files" "$kernel"
    done_with kernel "$k"
}

# A Debian system of which the roots take what they need.
make_tree() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    is_fresh tree "$suite" $tree_packages && return
    local k=$key
    echo "  TREE    $suite, for Dom0 and guests"
    rm -rf "$lab/tree"
    if ! mmdebstrap --variant=minbase --format=directory \
            --include="$(echo $tree_packages | tr ' ' ,)" \
            "$suite" "$lab/tree" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        fail "mmdebstrap failed; can this machine reach Debian's archive?"
    fi
    done_with tree "$k"
}

# Starts root $1, an empty folder, with folders as Debian has them.
start_root() {
    local root=$1 dir
    mkdir -p "$root"/{dev,etc,proc,run,sys,tmp,usr/bin,usr/sbin,usr/lib}
    mkdir -p "$root"/usr/lib64 "$root"/var/{lib,lock,log}
    for dir in bin sbin lib lib64; do
        ln -s usr/$dir "$root/$dir"
    done
    ln -s ../run "$root/var/run"
    echo root:x:0:0:root:/:/bin/sh >"$root/etc/passwd"
    echo root:x:0: >"$root/etc/group"
    ln -s ../proc/self/mounts "$root/etc/mtab"
}

# Copies files $2... of the tree to root $1, with the libraries they need.
take() {
    local root=$1 file
    shift
    for file; do
        [ -e "$lab/tree$file" ] || fail "$file is not in $lab/tree"
    done
    # What is no ELF program makes ldd fail, and has no libraries.
    { printf '%s\n' "$@"
      chroot "$lab/tree" ldd "$@" 2>/dev/null |
          grep -o '/[^ :]*\.so[^ :]*' || :
    } | sort -u | while read -r file; do
        mkdir -p "$root${file%/*}"
        cp -L --preserve=mode "$lab/tree$file" "$root$file"
    done
}

# Copies modules $2... and those they need to root $1.
take_modules() {
    local root=$1 module file
    local modules=lib/modules/$kernel
    shift
    mkdir -p "$root/$modules"
    cp "$lab/kernel-files/$modules"/modules.{order,builtin,builtin.modinfo} \
        "$root/$modules"
    for module; do
        modprobe -d "$lab/kernel-files" -S "$kernel" \
                --show-depends "$module" ||
            fail "kernel $kernel has no module $module"
    done | awk '$1 == "insmod" { print $2 }' | sort -u |
    while read -r file; do
        file=${file#"$lab/kernel-files/"}
        mkdir -p "$root/${file%/*}"
        cp "$lab/kernel-files/$file" "$root/$file"
    done
    depmod -b "$root" "$kernel"
}

# Adds busybox to root $1, under every name that is not yet there.
take_busybox() {
    local root=$1 name
    cp /bin/busybox "$root/bin/busybox"
    for name in $(/bin/busybox --list); do
        [ -e "$root/bin/$name" ] || [ -e "$root/sbin/$name" ] ||
            ln -s busybox "$root/bin/$name"
    done
}

# Packs root $1 into image $2.
pack() {
    (cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0) >"$lab/$2.new"
    mv "$lab/$2.new" "$lab/$2"
}

make_guest() {
    local inputs root=$work/guest
    inputs=("$(digest "$0" "$here/init-guest" "$here/grants.c" \
                   "$here/udp-blast.c" /bin/busybox)"
            "$(cat "$lab/.tree.key" "$lab/.kernel.key")")
    is_fresh guest "${inputs[@]}" && return
    local k=$key
    echo "  PACK    guest.cpio"
    start_root "$root"
    take "$root" /bin/ip /usr/bin/iperf3 /usr/sbin/ethtool /usr/bin/ping
    take_busybox "$root"
    take_modules "$root" $guest_modules
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$root/bin/grants" \
        "$here/grants.c" -lxengnttab -lxentoolcore -lxentoollog -lpthread
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static \
        -o "$root/bin/udp-blast" "$here/udp-blast.c"
    install -m 755 "$here/init-guest" "$root/init"
    pack "$root" guest.cpio
    done_with guest "$k"
}

make_dom0() {
    local inputs root=$work/dom0 tree=$lab/tree
    inputs=("$(digest "$0" "$here/init-dom0" /bin/busybox)"
            "$(cat "$lab/.tree.key" "$lab/.kernel.key" "$lab/.guest.key")")
    is_fresh dom0 "${inputs[@]}" && return
    local k=$key
    echo "  PACK    dom0.cpio"
    start_root "$root"
    take "$root" $(cd "$tree" && find usr/lib/xen-4.17/bin usr/bin/xenstore* \
            usr/sbin/xenstored -type f -printf '/%p\n' 2>/dev/null) \
        /bin/bash /bin/ip /sbin/bridge /usr/bin/iperf3 /usr/sbin/ethtool \
        /usr/sbin/brctl /usr/bin/ping /usr/bin/kmod /usr/bin/flock \
        /usr/bin/stat /bin/grep /bin/sed /bin/ps /bin/top \
        /lib/x86_64-linux-gnu/libgcc_s.so.1
    ln -sf ../bin/kmod "$root/sbin/modprobe"
    cp -a "$tree/etc/xen" "$root/etc/xen"
    take_busybox "$root"
    take_modules "$root" $dom0_modules
    mkdir "$root/guest"
    cp "$lab/vmlinux" "$lab/guest.cpio" "$root/guest"
    install -m 755 "$here/init-dom0" "$root/init"
    pack "$root" dom0.cpio
    done_with dom0 "$k"
}

unpack_xen
find_kernel
unpack_kernel
make_tree
make_guest
make_dom0
