/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread's work: connecting, the handshake, life and death of a
 * channel.
 *
 * A front moves through these phases, and no others:
 *
 *     from      to        when
 *     IDLE      HELLO     'retry_at' has come, the socket is there
 *     IDLE      IDLE      no socket: try again, later each time
 *     HELLO     UP        WELCOME came and all of it is right
 *     HELLO     IDLE      REFUSE, hang-up, or WELCOME is wrong
 *     UP        LEAVING   REFUSE, hang-up, or the switch broke a rule
 *     LEAVING   IDLE      no thread can touch the mapping any more
 *
 * The gate (front.h) is open in UP only.  The mapping exists in UP and LEAVING
 * only.
 */

#ifndef DOMSFRONT_CONTROL_H
#define DOMSFRONT_CONTROL_H 1

#include <stdint.h>

struct domsfront;

void df_hang_up(struct domsfront *, uint32_t health_state);
int df_fail(int error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* control.h */
