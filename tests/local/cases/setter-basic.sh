# SPDX-License-Identifier: Apache-2.0
# VMs with every layout of virtio-net talk with a guest, by doms-setter.
. "$top/tests/local/setter.sh"
begin_with_setter a
ctl attach v
vsctl set interface a mtu_request=9000 -- set interface v mtu_request=9000 \
    options:n_rxq=2

# Serves the VM 'v' with role $1 and words $2 of the setter's, and $3 of
# virtio-user's, $4... of testpmd's, and pings it with all kinds of frames.
n=0
check_vm() {
    local role=$1 setter_words=$2 words=$3 size ping_out

    shift 3
    rm -f "$RUN/setter.log"
    setter_start setter "v=$VHOST/v.sock,mode=$role,$setter_words"
    wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
    vm_start v "$role" "$words" "$@"
    wait_until 10 vm_has_driver v
    check_ping a v
    # Each length by itself, and the bytes that come back.
    for size in 1 18 19 50 201 202 1400 ${jumbo:+4000 8900}; do
        note "$words, $size bytes"
        check_all_pings a "${ADDR[v]}" 3 -i 0.01 -s $size -p a55a3cc3
        check_not "wrong bytes" grep -q wrong <<<"$ping_out"
    done
    note "$words, many at once"
    check_all_pings a "${ADDR[v]}" 400 -l 100 -i 0.002
    vm_stop
    setter_stop
    check "the setter has removed its socket" [ ! -e "$VHOST/v.sock" ]
    n=$((n + 1))
}

jumbo=
for packed in 0 1; do
    for in_order in 0 1; do
        check_vm server queues=1 \
            "packed_vq=$packed,in_order=$in_order,mrg_rxbuf=0"
    done
done
jumbo=yes
for packed in 0 1; do
    check_vm client queues=1 "packed_vq=$packed,in_order=0,mrg_rxbuf=1" \
        --max-pkt-len=9018 --enable-scatter --tx-offloads=0x8000
done
jumbo=
check_vm client queues=2 "queues=2,packed_vq=0,mrg_rxbuf=1" --rxq=2 --txq=2
measure "layouts=$n"
