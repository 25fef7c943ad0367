# SPDX-License-Identifier: Apache-2.0
# A QEMU VM with Debian's kernel and its own driver: ping, IPv6, TCP, offloads.
. "$top/tests/local/vm.sh"
begin_with_setter a
ctl attach v queues=2
setter_start setter "v=$VHOST/v.sock,queues=2"
wait_until 10 grep -q 'v: attached' "$RUN/setter.log"
qemu_start v server queues=2 cpus=2
qemu_wait v
check_ping a v
check_ping v a
check_ping v "${ADDR6[a]}"
