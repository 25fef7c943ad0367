/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the device's end of a virtqueue, and the cutting of frames, against a
 * driver made of the input.
 *
 * The input is a first byte, of VRING_* below, and a list of steps.  A step is
 * either the driver's, which writes into the VM's memory, or the device's,
 * which calls one function.  Whatever the driver does, every piece of a buffer
 * must lie in the VM's memory, which the target reads or writes in whole, and
 * a ring once broken must stay so.
 *
 * Step: a byte that says what, two of a place, and eight of a number, little
 * endian.  make-seeds.py knows this format too.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined, or with
 * -DDOMS_FUZZ_MAIN for a program that runs the files that it is given.
 */
#include <stdlib.h>
#include <string.h>

#include "guestfront/setter/cut.h"
#include "guestfront/setter/virtq.h"

#define STEP_SIZE 11
#define MAX_STEPS 2048

#define CHECK(COND) ((COND) ? (void) 0 : abort())

/* The first byte. */
#define VRING_PACKED 1
#define VRING_WRITES 2
#define VRING_EVENT_IDX 4
#define VRING_IN_ORDER 8
#define VRING_SIZE_SHIFT 4 /* The rest: log2 of the entries. */

/* The VM's memory: two regions, the second at once behind the first in the VM,
 * but not here.  The ring's parts are in the first. */
#define REGION_SIZE 16384u
#define DRIVER_OFS 0x2000
#define DEVICE_OFS 0x2800

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *regions[2];
static struct memory memory;
static struct virtq v;
static struct virtq_config config;

static bool
is_in_memory(const uint8_t *p, uint32_t n)
{
    return memory_has_host_range(&memory, p, n);
}

/* Reads or writes all bytes of 'b'. */
static void
use_buf(const struct virtq_buf *b)
{
    uint64_t total = 0;

    CHECK(b->n_pieces >= 1 && b->n_pieces <= VIRTQ_CHAIN_MAX);
    for (unsigned int i = 0; i < b->n_pieces; i++) {
        struct virtq_piece p = virtq_buf_piece(&v, b, i);

        CHECK(p.length && is_in_memory(p.data, p.length));
        total += p.length;
        /* The ring itself stays the input's. */
        if (config.writes && p.data > regions[0] + DEVICE_OFS + 0x1000) {
            memset(p.data, 0x5a, p.length < 64 ? p.length : 64);
        } else {
            uint8_t sum = 0;

            for (uint32_t j = 0; j < p.length && j < 64; j++) {
                sum += *(volatile uint8_t *) &p.data[j];
            }
            sum += *(volatile uint8_t *) &p.data[p.length - 1];
            (void) sum;
        }
    }
    CHECK(total == b->total);
}

static void
take(unsigned int want)
{
    unsigned int n = virtq_take(&v, want);

    CHECK(n <= VIRTQ_BATCH && (n == v.n || v.fault));
    for (unsigned int i = 0; i < n; i++) {
        use_buf(virtq_buf(&v, i));
    }
}

static void
put(unsigned int n)
{
    uint32_t written[VIRTQ_BATCH] = { 0 };

    if (v.fault) {
        return;
    }
    if (n > v.n) {
        n = v.n;
    }
    for (unsigned int i = 0; i < n; i++) {
        written[i] = virtq_buf(&v, i)->total;
    }
    virtq_put(&v, n, config.writes ? written : NULL);
}

/* Cuts the frame whose first bytes are those of the second region, with
 * offload fields and a length made of 'x'. */
static void
cut(uint64_t x)
{
    struct domsfront_offload o = {
        .flags = DOMSFRONT_CSUM_NEEDED,
        .gso_type = 1,
        .gso_size = x,
        .csum_start = x >> 16 & 0xff,
        .csum_offset = x >> 24 & 1 ? x >> 25 & 0x7f : 16,
    };
    uint32_t length = x >> 32 & 0xffff;
    uint32_t n = length < CUT_HEADERS_MAX ? length : CUT_HEADERS_MAX;
    uint32_t ofs = 0;
    struct cut c;

    if (!cut_init(&c, regions[1], n, length, &o)) {
        return;
    }
    CHECK(c.headers_size <= n && c.payload_size == length - c.headers_size);
    for (int i = 0; i < 64 && ofs < c.payload_size; i++) {
        uint32_t rest = c.payload_size - ofs;
        uint32_t piece = rest < c.gso_size ? rest : c.gso_size;
        /* Has no room behind the headers. */
        uint8_t *headers = malloc(c.headers_size);

        CHECK(headers != NULL);
        cut_make_headers(&c, ofs, piece, headers);
        cut_fill_checksum(headers, c.headers_size, c.l4, 16);
        free(headers);
        ofs += piece;
    }
}

static void
step(uint8_t what, uint16_t place, uint64_t x)
{
    uint64_t *words = (uint64_t *) regions[0];

    switch (what % 10) {
    case 0: /* Any word of the first region. */
        words[place % (REGION_SIZE / 8)] = x;
        break;
    case 1: /* A word of the ring's descriptors. */
        words[place % (2u << (config.size > 256 ? 8 : 4))] = x;
        break;
    case 2: /* A place in the VM's memory, as a descriptor's address. */
        words[place % (REGION_SIZE / 16) * 2] = REGION_SIZE
                                                + x % (2 * REGION_SIZE);
        break;
    case 3: /* The driver's index, or event. */
        memcpy(regions[0] + DRIVER_OFS + place % 2 * 2, &x, 2);
        break;
    case 4: /* The driver's ring. */
        memcpy(regions[0] + DRIVER_OFS + 4 + place % 1024 * 2, &x, 2);
        break;
    case 5:
        take(x % 80);
        break;
    case 6:
        put(x % 80);
        break;
    case 7:
        if (x & 1) {
            virtq_arm(&v);
        } else {
            virtq_disarm(&v);
        }
        virtq_wants_call(&v);
        break;
    case 8: { /* Another device goes on. */
        char why[120];

        config.base = x & 1 ? virtq_base(&v) : x >> 1;
        if (virtq_init(&v, &config, why, sizeof why)) {
            config.base = 0;
            CHECK(!virtq_init(&v, &config, why, sizeof why));
        }
        break;
    }
    case 9:
        memcpy(regions[1] + place % (CUT_HEADERS_MAX - 8), &x, 8);
        cut(x ^ place);
        break;
    }
}

static void
make_memory(void)
{
    char why[120];

    for (int i = 0; i < 2; i++) {
        struct memory_region r = { .guest = REGION_SIZE * (i + 1),
                                   .user = REGION_SIZE * (i + 1),
                                   .size = REGION_SIZE };

        regions[i] = r.host = aligned_alloc(4096, REGION_SIZE);
        CHECK(r.host && !memory_add(&memory, &r, why, sizeof why));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[120];

    if (!size || size > 1 + MAX_STEPS * STEP_SIZE) {
        return 0;
    }
    if (!memory.n) {
        make_memory();
    }
    for (int i = 0; i < 2; i++) {
        memset(regions[i], 0, REGION_SIZE);
    }
    config = (struct virtq_config){
        .packed = data[0] & VRING_PACKED,
        .writes = data[0] & VRING_WRITES,
        .event_idx = data[0] & VRING_EVENT_IDX,
        .in_order = data[0] & VRING_IN_ORDER,
        .size = 1u << (data[0] >> VRING_SIZE_SHIFT) % 9,
        .base = data[0] & VRING_PACKED ? 1u << 15 : 0,
        .desc = regions[0],
        .driver = regions[0] + DRIVER_OFS,
        .device = regions[0] + DEVICE_OFS,
        .memory = &memory,
    };
    CHECK(!virtq_init(&v, &config, why, sizeof why));
    for (size_t i = 1; i + STEP_SIZE <= size; i += STEP_SIZE) {
        enum virtq_fault fault = v.fault;
        uint16_t place;
        uint64_t x;

        memcpy(&place, data + i + 1, sizeof place);
        memcpy(&x, data + i + 3, sizeof x);
        step(data[i], place, x);
        CHECK(!fault || v.fault == fault || data[i] % 10 == 8);
    }
    return 0;
}

#ifdef DOMS_FUZZ_MAIN
#include "fuzz-main.h"
#endif
