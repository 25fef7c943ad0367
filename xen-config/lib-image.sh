# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts that make boot images have in common.  A script sources it
# and calls start_images first.
#
# A step is redone only if what goes into it has changed: it begins with
# 'is_fresh STEP OUTPUT INPUT... && return' and ends with 'done_with STEP KEY',
# where KEY is what is_fresh() left in 'key'.  Kernels are unpacked, not
# installed, so that they do not become this machine's own boot files.

fail() {
    echo "$me: $*" >&2
    exit 1
}

# Names this script $1 in messages, and keeps what it makes on the way in
# folder $2, which scripts share one after the other.
start_images() {
    me=$1
    cache=$(mkdir -p "$2" && cd "$2" && pwd)
    exec 9>"$cache/.lock"
    flock -w 600 9 || fail "another build holds $cache/.lock"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
}

# Succeeds if step $1, which makes $2, was last done with the same rest of the
# arguments.  Else forgets that it was done, since what it made is about to be
# replaced.
is_fresh() {
    local step=$1 output=$2
    shift 2
    key=$(printf '%s\n' "$output" "$@" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$cache/.$step.key" 2>/dev/null)" != "$key" ] ||
        [ ! -e "$output" ] || return 0
    rm -f "$cache/.$step.key"
    return 1
}
# Step $1 is done, with the key that is_fresh() computed.
done_with() {
    echo "$2" >"$cache/.$1.key"
}

# Prints a digest of the contents and modes of files.
digest() {
    stat -L -c %a "$@"
    cat "$@" | sha256sum
}

# Downloads package $1 in version $2 and unpacks it to folder $3.
unpack() {
    local package=$1 version=$2 dir=$3
    local download=(apt-get -q download "$package=$version")
    [ "$(id -u)" != 0 ] || download+=(-o APT::Sandbox::User=root)
    echo "  UNPACK  $package $version"
    if ! (cd "$work" && { "${download[@]}" ||
                          { apt-get -q update && "${download[@]}"; }; }) \
            >"$work/log" 2>&1; then
        cat "$work/log" >&2
        fail "cannot download $package $version; is Debian's archive in" \
             "/etc/apt/sources.list, and is this machine up to date with it?"
    fi
    rm -rf "$dir"
    dpkg -x "$work/${package}"_*.deb "$dir"
    rm -f "$work/${package}"_*.deb
}

# Prints the version that apt-get would install of package $1.
candidate() {
    local version
    version=$(policy "$1")
    # 'apt-get update' needs root; without, the old lists are what there is.
    [ -n "$version" ] || { apt-get -q update >"$work/log" 2>&1 || :
                           version=$(policy "$1"); }
    [ -n "$version" ] || fail "Debian's package lists do not have $1; this" \
                              "needs Debian 12, and its lists ('apt-get" \
                              "update')"
    echo "$version"
}
policy() {
    apt-cache policy "$1" |
        awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# Sets 'kernel' and 'kernel_version', of its package: those of the installed
# headers, so that a module built against these loads.  Without headers, or
# with $1 as the kernel, what Debian has.
find_kernel() {
    local package
    kernel=${1:-}
    package=$(dpkg-query -W -f '${Depends}' linux-headers-amd64 2>/dev/null |
              grep -o 'linux-headers-[0-9][^ ,]*-amd64' | head -n 1) || :
    [ -n "$kernel" ] || kernel=${package#linux-headers-}
    [ -n "$kernel" ] ||
        kernel=$(apt-cache show linux-image-amd64 |
                 sed -n 's/^Depends: linux-image-\([^ ]*\).*/\1/p' |
                 head -n 1)
    [ -n "$kernel" ] || fail "no kernel is known; name one with --kernel"
    if [ "linux-headers-$kernel" = "$package" ]; then
        kernel_version=$(dpkg-query -W -f '${Version}' "$package")
    else
        kernel_version=$(candidate "linux-image-$kernel")
    fi
}

# Unpacks the kernel to $cache/kernel-files, and its raw image to
# $cache/vmlinux.
unpack_kernel() {
    is_fresh kernel "$cache/vmlinux" "$(digest "${BASH_SOURCE[0]}")" \
        "$kernel $kernel_version" && return
    local k=$key
    unpack "linux-image-$kernel" "$kernel_version" "$cache/kernel-files"
    # A bzImage's header tells where the compressed kernel is.  The last four
    # bytes of that are its size.  The zeros at the end of the kernel, a third
    # of it, and its section headers are left out: who loads it fills a segment
    # up with zeros, and less is to be loaded each time.
    python3 - "$cache/kernel-files/boot/vmlinuz-$kernel" "$cache/vmlinux" \
        <<'END'
import lzma
import struct
import sys

with open(sys.argv[1], 'rb') as f:
    image = f.read()
start, size = struct.unpack_from('<II', image, 0x248)
start += (image[0x1f1] + 1) * 512
elf = lzma.decompress(image[start:start + size - 4])
if elf[:4] != b'\x7fELF':
    sys.exit('%s does not hold an ELF kernel' % sys.argv[1])
table, = struct.unpack_from('<Q', elf, 0x20)
entry_size, entries = struct.unpack_from('<HH', elf, 0x36)
segments = [(struct.unpack_from('<Q', elf, at + 8)[0], at)
            for at in range(table, table + entries * entry_size, entry_size)]
start, last = max(segments)
size, = struct.unpack_from('<Q', elf, last + 0x20)
size = len(elf[start:start + size].rstrip(b'\0'))
elf = bytearray(elf[:start + size])
struct.pack_into('<Q', elf, last + 0x20, size)
struct.pack_into('<Q', elf, 0x28, 0)            # No section headers.
struct.pack_into('<HHH', elf, 0x3a, 0, 0, 0)
with open(sys.argv[2], 'wb') as f:
    f.write(elf)
END
    depmod -b "$cache/kernel-files" "$kernel"
    done_with kernel "$k"
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

# Copies files $3... of tree $2 (/ is this machine) to root $1, with the
# libraries that they need.
take() {
    local root=$1 tree=${2%/} file
    shift 2
    for file; do
        [ -e "$tree$file" ] || fail "$file is not in ${tree:-/}"
    done
    { printf '%s\n' "$@"
      libraries "$tree/" "$@"
    } | sort -u | while read -r file; do
        mkdir -p "$root${file%/*}"
        cp -L --preserve=mode "$tree$file" "$root$file"
    done
}

# Prints the libraries that files $2... need in tree $1.
libraries() {
    local tree=$1 ldd=(ldd)
    shift
    [ "$tree" = / ] || ldd=(chroot "$tree" ldd)
    # What is no ELF program makes ldd fail, and has no libraries.
    { "${ldd[@]}" "$@" 2>/dev/null || :; } |
        sed -n 's|^\t\(.*=> \)\?\(/[^ :]*\) (.*|\2|p'
}

# Installs program $2 of the build, without what only a debugger needs, to
# folder $3 of root $1, with the libraries it needs.
take_program() {
    local root=$1 program=$2 dir=$3
    [ -f "$program" ] || fail "$program is missing; run 'make' first"
    libraries / "$program" | sort -u | while read -r file; do
        mkdir -p "$root${file%/*}"
        cp -L --preserve=mode "$file" "$root$file"
    done
    install -m 755 -D -t "$root$dir" "$program"
    # A script is left as it is.
    strip "$root$dir/${program##*/}" 2>/dev/null || :
}

# Copies modules $2... and those they need to root $1.
take_modules() {
    local root=$1 module file
    local modules=lib/modules/$kernel
    shift
    mkdir -p "$root/$modules"
    cp "$cache/kernel-files/$modules"/modules.{order,builtin,builtin.modinfo} \
        "$root/$modules"
    for module; do
        modprobe -d "$cache/kernel-files" -S "$kernel" \
                --show-depends "$module" ||
            fail "kernel $kernel has no module $module"
    done | awk '$1 == "insmod" { print $2 }' | sort -u |
    while read -r file; do
        file=${file#"$cache/kernel-files/"}
        mkdir -p "$root/${file%/*}"
        cp "$cache/kernel-files/$file" "$root/$file"
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

# Packs root $1 into file $2, through command $3... if there is one.
pack() {
    local root=$1 image=$2
    shift 2
    [ $# != 0 ] || set -- cat
    (cd "$root" && find . | sort | cpio --quiet -o -H newc -R 0:0) |
        "$@" >"$image.new"
    mv "$image.new" "$image"
}
