/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doms-setter may do, which is as little as it needs.
 *
 * Both functions are irreversible and for the main thread.
 */

#ifndef DOMS_SETTER_SANDBOX_H
#define DOMS_SETTER_SANDBOX_H 1

/* Before there are other threads: leaves the network, and becomes 'user' and
 * 'group' (each NULL to stay what it is, 'group' also for that of 'user'),
 * without any capability.  Returns 0, or -1 having said why. */
int sandbox_drop(const char *user, const char *group);

/* Once all has been started: forbids every system call but those that the
 * threads make from then on, in all threads.  Any other ends the process.
 * Returns 0, or -1 having said why. */
int sandbox_lock(void);

#endif /* sandbox.h */
