/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What domsd tells of its doms ports: the unixctl commands doms/show, for
 * people, and doms/status, in JSON, for doms-ctl.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_STATUS_H
#define DOMS_STATUS_H 1

#include <stdint.h>

void doms_status_init(void);
char *doms_features_to_string(uint64_t features);

#endif /* doms/status.h */
