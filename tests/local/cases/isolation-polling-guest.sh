# SPDX-License-Identifier: Apache-2.0
# A switch turned hostile finds nothing in a polling guest but its frames.
. "$top/tests/local/isolation.sh"
export DOMSD=$hostile_switch
begin_with a b
check_ping a b
check "the switch is the hostile one" appctl hostile/find "$(secret_make)"
secret=$(secret_make)
frames=$(secret_make)

# It looks in itself, and sees what passes it.
check_switch_finds_frames a b "$frames"
measure "frames_found=$found"

# A guest's own memory is not there.
secret_plant "$(guest_pid a)" private "$secret"
secret_find "$(guest_pid a)" "$secret"
check_between "places in the guest itself" 1 "$found" 1
secret_find_by_switch "$secret"
check "the switch does not find the guest's secret" [ "$found" = 0 ]
secret_find "$(switch_pid)" "$secret"
check "nor does who looks at the switch" [ "$found" = 0 ]

# Guests share their rings with the switch, and nothing with each other.
for name in a b; do
    check "guest $name shares its rings with the switch" [ -n "$(common_files \
        "$(files_of "$(guest_pid $name)")" "$(files_of "$(switch_pid)")")" ]
done
check_nothing_shared "guests share nothing" "$(guest_pid a)" "$(guest_pid b)"

# What the switch writes, a guest cannot; hostile-guest tries every way.
ctl attach x
"$DOMS_BUILD/$DOMS_VARIANT/tests/hostile-guest" "$OVS_RUNDIR/doms.sock" x \
    write-what-is-the-switchs || fail "a guest can write what is the switch's"
check_ping a b
