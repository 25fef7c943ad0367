/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile-door.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xentoollog.h>

/* Between two looks at xenstore, in microseconds. */
#define LOOK_US 2000

void
door_fail(const struct door *door, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "hostile-switch: %s: ", door->doing);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
door_open(struct door *door, uint32_t front)
{
    xentoollog_logger *log = (void *) xtl_createlogger_stdiostream(
        stderr, XTL_CRITICAL, 0);

    memset(door, 0, sizeof *door);
    door->doing = "start";
    door->front = front;
    snprintf(door->front_dir, sizeof door->front_dir,
             "/local/domain/%" PRIu32 "/device/doms/0", front);
    /* Relative to this domain's own directory. */
    snprintf(door->back_dir, sizeof door->back_dir,
             "backend/doms/%" PRIu32 "/0", front);
    door->xs = xs_open(0);
    if (!door->xs) {
        door_fail(door, "cannot connect to xenstore: %s", strerror(errno));
    }
    door->tab = xengnttab_open(log, 0);
    if (!door->tab) {
        door_fail(door, "cannot open /dev/xen/gntdev: %s", strerror(errno));
    }
}

void
door_close(struct door *door)
{
    door_unmap(door);
    xengnttab_close(door->tab);
    xs_close(door->xs);
}

/* Keys. */

void
door_set(struct door *door, const char *key, const char *value)
{
    char path[128];
    bool ok;

    snprintf(path, sizeof path, "%s/%s", door->back_dir, key);
    if (value) {
        ok = xs_write(door->xs, XBT_NULL, path, value, strlen(value));
    } else {
        ok = xs_rm(door->xs, XBT_NULL, path) || errno == ENOENT;
    }
    if (!ok) {
        door_fail(door, "cannot write %s: %s", path, strerror(errno));
    }
}

static void
door_set_number(struct door *door, const char *key, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, number);
    door_set(door, key, text);
}

void
door_set_state(struct door *door, unsigned int state)
{
    door_set_number(door, "state", state);
}

void
door_set_offer(struct door *door, const struct offer *offer)
{
    bool csum = offer->features & DOMS_F_CSUM;
    bool tso = offer->features & DOMS_F_TSO;

    door_set_number(door, DOMS_XS_VERSION, DOMS_XENBUS_VERSION);
    door_set_number(door, DOMS_XS_MAX_QUEUES, DOMS_MAX_QUEUES);
    door_set_number(door, DOMS_XS_ARENA, offer->arena);
    door_set(door, DOMS_XS_MAC, "02:00:00:00:00:aa");
    door_set(door, DOMS_XS_MTU, "1500");
    door_set(door, DOMS_XS_LINK, "1");
    door_set(door, DOMS_XS_ERROR, "");
    door_set(door, DOMS_XS_FEATURE_CSUM, csum ? "1" : "0");
    door_set(door, DOMS_XS_FEATURE_TSO, tso ? "1" : "0");
}

/* Returns the number that 'key' of the front's says, or 0. */
static uint32_t
door_read(struct door *door, const char *key)
{
    char path[128];
    char *text;
    uint32_t number;

    snprintf(path, sizeof path, "%s/%s", door->front_dir, key);
    text = xs_read(door->xs, XBT_NULL, path, NULL);
    number = text ? strtoul(text, NULL, 10) : 0;
    free(text);
    return number;
}

unsigned int
door_front_state(struct door *door)
{
    return door_read(door, "state");
}

uint32_t
door_front_number(struct door *door, const char *key)
{
    uint32_t number = door_read(door, key);

    if (!number) {
        door_fail(door, "the front's %s is missing", key);
    }
    return number;
}

bool
door_comes_to(struct door *door, unsigned int state, int ms)
{
    int64_t end = now_ms() + ms;

    while (door_front_state(door) != state) {
        if (now_ms() > end) {
            return false;
        }
        usleep(LOOK_US);
    }
    return true;
}

void
door_await(struct door *door, unsigned int state)
{
    if (!door_comes_to(door, state, DOOR_PATIENCE * 1000)) {
        door_fail(door, "the front does not come to state %u, it is in %u",
                  state, door_front_state(door));
    }
}

/* The handshake. */

void
door_begin(struct door *door, const struct offer *offer)
{
    door_set(door, "online", "1");
    door_set_state(door, DOOR_INITIALISING);
    door_await(door, DOOR_INITIALISING);
    door_set_offer(door, offer);
}

void
door_read_directory(struct door *door, uint32_t *refs, uint32_t n)
{
    uint32_t ref = door_front_number(door, DOMS_XS_REFERENCE);
    uint32_t epoch = door_front_number(door, DOMS_XS_EPOCH);

    for (uint32_t done = 0; done < n;) {
        void *shared = xengnttab_map_grant_ref(door->tab, door->front, ref,
                                               PROT_READ);
        struct doms_directory page;
        uint32_t got;

        if (!shared) {
            door_fail(door, "cannot map directory page %u", ref);
        }
        memcpy(&page, shared, sizeof page);
        xengnttab_unmap(door->tab, shared, 1);
        got = doms_directory_check(&page, epoch, n - done);
        if (!got) {
            door_fail(door, "directory page %u is malformed", ref);
        }
        memcpy(refs + done, page.refs, got * sizeof *refs);
        done += got;
        ref = page.next;
    }
}

void
door_map(struct door *door, const struct offer *offer)
{
    struct mapping *m = &door->map;
    uint32_t *refs;

    door_await(door, DOOR_INITIALISED);
    m->geometry.n_queues = door_front_number(door, DOMS_XS_QUEUES);
    m->geometry.arena_size = door_front_number(door, DOMS_XS_ARENA);
    if (!doms_geometry_is_valid(&m->geometry)
        || m->geometry.arena_size != offer->arena) {
        door_fail(door, "the front offers %u queues of %u bytes",
                  m->geometry.n_queues, m->geometry.arena_size);
    }
    m->n = doms_xenbus_n_refs(&m->geometry) / 2;
    refs = calloc(2 * m->n, sizeof *refs);
    m->ends = calloc(doms_ring_n_lengths(m->geometry.arena_size),
                     sizeof *m->ends);
    if (!refs || !m->ends) {
        door_fail(door, "no memory");
    }
    door_read_directory(door, refs, 2 * m->n);
    m->front = xengnttab_map_domain_grant_refs(door->tab, m->n, door->front,
                                               refs, PROT_READ);
    m->own = xengnttab_map_domain_grant_refs(
        door->tab, m->n, door->front, refs + m->n, PROT_READ | PROT_WRITE);
    if (!m->front || !m->own) {
        door_fail(door, "cannot map the channel: %s", strerror(errno));
    }
    free(refs);
    doms_queue_init(&m->queue, &m->geometry, 0, m->own, m->front,
                    DOMS_RECORD_OFFLOAD, m->ends);
}

void
door_unmap(struct door *door)
{
    struct mapping *m = &door->map;

    if (m->front) {
        xengnttab_unmap(door->tab, m->front, m->n);
    }
    if (m->own) {
        xengnttab_unmap(door->tab, m->own, m->n);
    }
    free(m->ends);
    memset(m, 0, sizeof *m);
}

struct doms_queue_ctl *
door_own_ctl(struct door *door)
{
    return (void *) doms_group_queue(door->map.own, &door->map.geometry, 0);
}

const struct doms_queue_ctl *
door_front_ctl(struct door *door)
{
    return (void *) doms_group_queue(door->map.front, &door->map.geometry, 0);
}

void
door_introduce(struct door *door)
{
    doms_health_init(door->map.own, &door->map.geometry, 1);
    doms_health_set_state(door->map.own, DOMS_STATE_UP);
}

void
door_connect(struct door *door, const struct offer *offer)
{
    door_begin(door, offer);
    door_set_state(door, DOOR_INIT_WAIT);
    door_map(door, offer);
    door_introduce(door);
    door_set_state(door, DOOR_CONNECTED);
    door_await(door, DOOR_CONNECTED);
}

void
door_part(struct door *door)
{
    bool left = door_front_state(door) == DOOR_CLOSING;

    door_unmap(door);
    if (left) {
        door_set_state(door, DOOR_CLOSED);
        door_await(door, DOOR_CLOSED);
    }
    door_set_state(door, DOOR_INITIALISING);
    if (!left) {
        door_await(door, DOOR_INITIALISING);
    }
}
