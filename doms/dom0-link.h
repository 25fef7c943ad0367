/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Dom0 and the switch tell each other, besides single guests' devices:
 * Dom0 describes the ports that are to be there, and asks how they are; the
 * switch answers, and shares a page with Dom0 in which its heart beats.
 * docs/protocol.md, "Who writes which node", has the nodes.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_DOM0_LINK_H
#define DOMS_DOM0_LINK_H 1

void dom0_link_open(void);
void dom0_link_event(const char *path);
void dom0_link_run(void);
void dom0_link_wait(void);

#endif /* doms/dom0-link.h */
