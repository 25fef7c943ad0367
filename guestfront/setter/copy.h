/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of frames.
 *
 * Short frames, of which there are the most, are copied without a call.  A few
 * bytes of each are copied twice, which is faster than to tell them apart.
 *
 * Thread-safety: keeps no state.
 */

#ifndef DOMS_SETTER_COPY_H
#define DOMS_SETTER_COPY_H 1

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Sixteen bytes at any address. */
typedef struct {
    uint8_t bytes[16];
} __attribute__((aligned(1), may_alias)) copy_block;

#define COPY_SHORT 256

/* Copies 'n' bytes from 'src' to 'dst', which must not overlap. */
static inline void
copy_bytes(uint8_t *dst, const uint8_t *src, uint32_t n)
{
    if (n >= 16 && n <= COPY_SHORT) {
        uint32_t last = n - 16;
        uint32_t i;

        for (i = 0; i < last; i += 16) {
            *(copy_block *) (dst + i) = *(const copy_block *) (src + i);
        }
        *(copy_block *) (dst + last) = *(const copy_block *) (src + last);
    } else {
        memcpy(dst, src, n);
    }
}

/* Bytes that are copied between two looks ahead. */
#define COPY_STEP 256

/* Fetches bytes 'from' to 'to' at 'p', at most COPY_STEP of them. */
static inline void
copy_fetch__(const uint8_t *p, uint32_t from, uint32_t to, bool write)
{
    for (uint32_t ofs = from; ofs < from + COPY_STEP && ofs < to; ofs += 64) {
        if (write) {
            __builtin_prefetch(p + ofs, 1, 0);
        } else {
            __builtin_prefetch(p + ofs, 0, 0);
        }
    }
}

/* Copies 'n' bytes from 'src' to 'dst', which must not overlap, and meanwhile
 * fetches the 'next_n' bytes at 'next', which are to be copied next or, if
 * 'write', to be overwritten.  A processor waits for lines that it writes to
 * one after the other, unless they are fetched; and what it will not need again
 * must not drive the rings out of its cache. */
static inline void
copy_and_fetch(uint8_t *dst, const uint8_t *src, uint32_t n,
               const uint8_t *next, uint32_t next_n, bool write)
{
    uint32_t ofs;

    for (ofs = 0; n - ofs > COPY_STEP; ofs += COPY_STEP) {
        copy_fetch__(next, ofs, next_n, write);
        memcpy(dst + ofs, src + ofs, COPY_STEP);
    }
    copy_fetch__(next, ofs, next_n, write);
    copy_bytes(dst + ofs, src + ofs, n - ofs);
}

#endif /* copy.h */
