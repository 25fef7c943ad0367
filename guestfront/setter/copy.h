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

/* The lines of a frame that are fetched ahead: bytes from the first to the
 * last. */
#define COPY_AHEAD_FIRST 128
#define COPY_AHEAD_LAST 2048

/* Fetches the lines of a frame of 'n' bytes at 'p' that is to be copied next, or
 * copied to next, but not the first two.  A processor waits for the lines that
 * it writes to one after the other, unless they are fetched; and what it will
 * not need again must not drive the rings out of its cache. */
#define COPY_FETCH_AHEAD(P, N, WRITE)                                         \
    for (uint32_t copy_ofs__ = COPY_AHEAD_FIRST;                              \
         copy_ofs__ < (N) && copy_ofs__ < COPY_AHEAD_LAST;                    \
         copy_ofs__ += 64) {                                                  \
        __builtin_prefetch((P) + copy_ofs__, WRITE, 0);                       \
    }

#endif /* copy.h */
