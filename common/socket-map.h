/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps a group of shared pages of the socket door, for either side.
 *
 * A group of DOMS_HUGE_PAGE or more is placed so that huge pages fit it, and
 * the kernel is told that they are welcome.  Whether there are any is for the
 * machine's operator to say (docs/operating.md): without, and for smaller
 * groups, the mapping is as any other.  They are pages of ordinary shared
 * memory that the kernel happens to keep together, not those of hugetlbfs, which
 * can run out and kill who touches them.
 *
 * Thread-safety: keeps no state.
 */

#ifndef DOMS_SOCKET_MAP_H
#define DOMS_SOCKET_MAP_H 1

#include <stddef.h>

/* Bytes of a huge page. */
#define DOMS_HUGE_PAGE ((size_t) 2 << 20)

void *doms_map_group(int fd, size_t size, int prot);

#endif /* common/socket-map.h */
