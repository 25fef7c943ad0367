#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the image of DomS, the switch domain, from Debian packages and this
# build: a kernel and an initramfs, which xl boots directly.
#
#   vmlinuz    Debian's kernel
#   initramfs  Open vSwitch's ovsdb-server and tools, domsd, busybox, modules
#
# Nothing is installed on this machine, and root is not needed.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=xen-config/lib-image.sh
. "$here/lib-image.sh"

modules="xen-blkfront crc32c_generic ext4 xen-pcifront xen-evtchn xen-gntdev xen-gntalloc
    xenfs tun"
nics="e1000 e1000e igb igc ixgbe i40e r8169 tg3 virtio_net"

usage() {
    cat <<END
Usage: xen-config/build-doms.sh [OPTION]...
Makes the image of DomS.

  --output DIR     where vmlinuz and initramfs go (default: BUILD/doms-image)
  --build BUILD    where this tree was built (default: build/ of this tree)
  --kernel VERSION Debian's kernel, as in linux-image-VERSION (default: that of
                   the installed headers, else Debian's newest)
  --modules "NAME..."
                   drivers of network cards that DomS may own (default:
                   $nics)
  --raw            do not compress: bigger, and boots faster under emulation
  -h, --help       this text
END
}

output='' build=$here/../build kernel_wish='' raw=false
while [ $# -gt 0 ]; do
    case $1 in
    --output | --build | --kernel | --modules)
        [ $# -gt 1 ] || { echo "build-doms: $1 needs a value" >&2; exit 2; } ;;
    esac
    case $1 in
    --output) output=$2; shift ;;
    --build) build=$2; shift ;;
    --kernel) kernel_wish=$2; shift ;;
    --modules) nics=$2; shift ;;
    --raw) raw=true ;;
    -h | --help) usage; exit 0 ;;
    *) echo "build-doms: what is '$1'? See --help" >&2; exit 2 ;;
    esac
    shift
done

build=$(cd "$build" 2>/dev/null && pwd) || {
    echo "build-doms: $build is no folder; run 'make', or name it by --build" \
        >&2
    exit 1
}
start_images build-doms "$build/image-cache"
output=$(mkdir -p "${output:-$build/doms-image}" &&
         cd "${output:-$build/doms-image}" && pwd)
ovs=$build/debian-ovs/usr

# What the build and Debian have of the switch.
programs=("$build/release/bin/domsd" "$build/release/bin/doms-ctl"
          "$ovs/bin/ovs-vsctl")
tools=(/usr/sbin/ovsdb-server /usr/bin/ovsdb-tool /usr/bin/ovsdb-client
       /usr/bin/ovs-appctl /usr/bin/ovs-ofctl /bin/ip /sbin/ethtool
       /sbin/mke2fs)

check_inputs() {
    local file
    for file in "${programs[@]:0:2}"; do
        [ -x "$file" ] || fail "$file is missing; run 'make' first"
    done
    for file in "${tools[@]}" /bin/busybox; do
        [ -x "$file" ] || fail "$file is missing; run 'make deps', and" \
            "install busybox-static and e2fsprogs"
    done
    for file in cpio depmod python3 strip; do
        PATH=$PATH:/sbin command -v "$file" >/dev/null ||
            fail "$file is missing; install cpio, kmod, python3, binutils"
    done
}

# The database as it is at DomS's first boot, so that DomS need not make it.
make_database() {
    local db=$1/conf.db schema=$1/vswitch.ovsschema
    install -m 644 -D "$ovs/share/openvswitch/vswitch.ovsschema" "$schema"
    ovsdb-tool schema-version "$schema" >"$1/schema.version"
    ovsdb-tool create "$db" "$schema"
    # pmd-maxsleep: an idle switch thread sleeps 100 us at most, which leaves
    # its CPU mostly idle, and costs a first packet that much.  With
    # userspace-tso-enable, guests may leave checksums and segmentation to one
    # another or to the card.
    ovsdb-tool transact "$db" '["Open_vSwitch",
        {"op": "insert", "table": "Open_vSwitch",
         "row": {"bridges": ["named-uuid", "bridge"],
                 "other_config": ["map", [["pmd-maxsleep", "100"],
                                          ["userspace-tso-enable", "true"]]]}},
        {"op": "insert", "table": "Bridge", "uuid-name": "bridge",
         "row": {"name": "br0", "datapath_type": "netdev",
                 "fail_mode": "standalone", "ports": ["named-uuid", "port"]}},
        {"op": "insert", "table": "Port", "uuid-name": "port",
         "row": {"name": "br0", "interfaces": ["named-uuid", "interface"]}},
        {"op": "insert", "table": "Interface", "uuid-name": "interface",
         "row": {"name": "br0", "type": "internal"}}]' >"$work/log"
    # One result an operation; an error does not show in the exit status.
    ! grep -q '"error"' "$work/log" ||
        fail "cannot make the database: $(cat "$work/log")"
}

make_initramfs() {
    local inputs root=$work/doms compress=(gzip -9n)
    ! command -v zstd >/dev/null || compress=(zstd -q -19 -T2)
    $raw && compress=()
    inputs=("$(digest "$0" "$here"/{lib-image.sh,doms-init} \
                   "${programs[@]}" "${tools[@]}" /bin/busybox)"
            "$(cat "$cache/.kernel.key")" "$nics" "${compress[*]-}")
    is_fresh "doms-$raw" "$output/initramfs" "${inputs[@]}" && return
    local k=$key program
    echo "  PACK    DomS's initramfs"
    start_root "$root"
    for program in "${programs[@]}"; do
        take_program "$root" "$program" /usr/bin
    done
    take "$root" / "${tools[@]}" /etc/mke2fs.conf
    take_busybox "$root"
    # shellcheck disable=SC2086  # Words.
    take_modules "$root" $modules $nics
    echo "$modules" | tr -s ' \n' '\n' >"$root/etc/doms-modules"
    make_database "$root/usr/share/doms"
    mkdir -p "$root"/etc/openvswitch "$root"/var/lib/openvswitch
    install -m 755 "$here/doms-init" "$root/init"
    pack "$root" "$output/initramfs" ${compress[@]+"${compress[@]}"}
    done_with "doms-$raw" "$k"
}

copy_kernel() {
    local source=$cache/kernel-files/boot/vmlinuz-$kernel
    $raw && source=$cache/vmlinux
    cmp -s "$source" "$output/vmlinuz" || cp "$source" "$output/vmlinuz"
}

PATH=$PATH:/usr/sbin:/sbin
check_inputs
flock "$cache/.ovs.lock" "$here/../mk/unpack-debian-ovs.sh" "$build"
find_kernel "$kernel_wish"
unpack_kernel
make_initramfs
copy_kernel
size=$(($(cat "$output/vmlinuz" "$output/initramfs" | wc -c) / 1000))
echo "  DOMS    $output: kernel $kernel, $((size / 1000)).$((size % 1000 / 100)) MB in all"
