# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# Secrets in guests' memory, and who can reach them: for the cases isolation-*.
# Sourced by them, after lib.sh.

find_secret=$DOMS_BUILD/$DOMS_VARIANT/tests/find-secret
hostile_switch=$DOMS_BUILD/$DOMS_VARIANT/tests/hostile/domsd
for program in "$find_secret" "$hostile_switch"; do
    [ -x "$program" ] \
        || fail "$program is missing: run 'make test-programs'"
done

# A new secret is made of $RANDOM, and kept inverted: who looks for it must not
# have it.
secret_make() {
    local i

    for ((i = 0; i < 16; i++)); do
        printf '%02x' $((RANDOM % 255 + 1))
    done
}

# Prints $1 with each bit inverted.
invert() {
    local i

    for ((i = 0; i < ${#1}; i += 2)); do
        printf '%02x' $((0x${1:i:2} ^ 0xff))
    done
}

# Puts secret $3 into the memory of process $1 that it shares with others, or
# does not ($2, 'shared' or 'private').
secret_plant() { note "$("$find_secret" plant "$1" "$2" "$3")"; }

# Sets 'found' to the number of places with secret $2 that process $1 has
# mapped or could map, as seen from outside.
secret_find() {
    search=$("$find_secret" find "$1" "$2") || fail "find-secret $1"
    search_done "process $1"
}

# The same of the switch, which looks itself: it is the hostile one.
secret_find_by_switch() {
    search=$(appctl hostile/find "$1") || fail "hostile/find"
    search_done "the switch"
}

# Takes 'search' apart.  Who has read next to nothing has not looked.
search_done() {
    local bytes

    note "$1: $search"
    found=$(sed -n 's/^found=\([0-9]*\) .*/\1/p' <<<"$search")
    bytes=$(sed -n 's/.* bytes=\([0-9]*\)$/\1/p' <<<"$search")
    check_between "bytes that $1 can reach" 1000000 "$bytes" 1000000000000
    if [ "$1" = "the switch" ] && [ "$DOMS_VARIANT" = release ]; then
        check_match "nothing is left out" "$search" ' reserved=0 '
    fi
}

# Has guest $1 send the secret $3 to guest $2 in frames, which the switch
# sees as every switch does, and checks that it finds them: the search can
# find.
check_switch_finds_frames() {
    in_guest "$1" ping -q -n -c 3 -i 0.01 -s 200 -p "$(invert "$3")" \
        "${ADDR[$2]}" >/dev/null || fail "ping from $1 to $2"
    secret_find_by_switch "$3"
    check_between "places of frames" 1 "$found" 1000000
}

# Prints the files that process $1 shares with others or could, by mapping or
# by having them open, as device and inode: names may lie.
files_of() {
    {
        awk '$2 ~ /s$/ && $5 != 0 { print $4 ":" $5 }' "/proc/$1/maps"
        find "/proc/$1/fd" -mindepth 1 -printf '%f\n' | while read -r fd; do
            stat -L -c '%F %Hd %Ld %i' "/proc/$1/fd/$fd" 2>/dev/null
        done | awk '$1 == "regular" {
            printf "%02x:%02x:%s\n", $(NF - 2), $(NF - 1), $NF }'
    } | sort -u
}

# Prints what is in both $1 and $2, lists of files.
common_files() { comm -12 <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }

# Fails if the processes $2 and $3 share a file; $1 says what that shows.
check_nothing_shared() {
    local files

    files=$(common_files "$(files_of "$2")" "$(files_of "$3")" | grep . ) \
        || true
    [ -z "$files" ] || fail "$1: both have $files"
}
