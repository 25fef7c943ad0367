/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the backends have in common when they are asked for something: how they
 * say what is wrong with a request, and who has which name and which address.
 *
 * What is in use stands in a struct shash, from a name or from an address in
 * text to a description of its user ("port vm1"), which the table owns.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_REQUEST_H
#define TOOLS_CTL_REQUEST_H 1

#include "config/port-request.h"
#include "ctl-backend.h"
#include "openvswitch/compiler.h"

struct shash;

void ctl_complain(const char *from, const struct port_request *, char **why,
                  const char *format, ...) OVS_PRINTF_FORMAT(4, 5);
void ctl_complain_left(char **why, const char *how, char *why_not);
char *ctl_no_such_guest(const char *command, const char *word,
                        const char *nearest);

void ctl_use(struct shash *used, const char *key, char *description);
enum ctl_status ctl_claim_mac(const char *from, struct port_request *,
                              struct shash *macs, char *description,
                              char **why);

#endif /* tools/ctl-request.h */
