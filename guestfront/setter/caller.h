/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: notifications of a VM's driver, by an eventfd that its front end has
 * given.
 *
 * A write(2) to an eventfd waits while its count is the highest that there is,
 * unless the file is non-blocking, and whoever else has the file decides both,
 * at any time.  A worker that wrote would stand still for all its VMs whenever
 * one front end wanted it to.  The kernel's own notifications never wait: they
 * leave such a count as it is.  So a call is the completion of asynchronous
 * I/O (io_submit(2), IOCB_FLAG_RESFD) of which nothing else matters: a byte for
 * /dev/null.
 *
 * Guarantee: caller_call() does not wait for anybody, whatever the file is.
 *
 * Thread-safety: caller_call() is for any thread, the others for the one that
 * has the caller.
 */

#ifndef DOMS_SETTER_CALLER_H
#define DOMS_SETTER_CALLER_H 1

#include <linux/aio_abi.h>
#include <stdbool.h>

struct caller {
    aio_context_t context;
    int null_fd; /* /dev/null. */
};

int caller_init(struct caller *);
void caller_destroy(struct caller *);
bool caller_call(const struct caller *, int fd);

#endif /* caller.h */
