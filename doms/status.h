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

struct json;

void doms_status_init(void);
struct json *doms_status_get(const char *peer);
char *doms_features_to_string(uint64_t features);

#endif /* doms/status.h */
