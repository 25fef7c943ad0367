# SPDX-License-Identifier: Apache-2.0
# VMs with every layout of virtio-net talk with a guest, by doms-setter.
. "$top/tests/local/setter.sh"
begin_with_setter a
ctl attach v
for vm in "server packed_vq=0,mrg_rxbuf=0,in_order=1" \
        "client packed_vq=1,mrg_rxbuf=1,in_order=0"; do
    read -r role words <<<"$vm"
    rm -f "$RUN/setter.log"
    setter_start setter "v=$VHOST/v.sock,mode=$role"
    wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
    vm_start v "$role" "$words"
    wait_until 10 vm_has_driver v
    check_ping a v
    vm_stop
    setter_stop
done
