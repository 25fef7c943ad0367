/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The polling threads, which queues are whose, and what Open vSwitch's calls
 * lead to.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "coverage.h"
#include "dpif-netdev-private-thread.h"
#include "openvswitch/json.h"
#include "openvswitch/vlog.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_pmd);

/* One more burst is taken from a queue for each so many ports, so that what
 * Open vSwitch spends on going through its queues and ports stays a small
 * part of what it spends on packets ... */
#define PORTS_A_BURST 32

/* ... but no more, since others wait. */
#define MAX_MORE_BURSTS 31

/* Parked queues are looked at after so many bursts of others. */
#define BURSTS_A_LOOK 512

/* A thread that is to reload its queues may wake before it is told so. */
#define RELOAD_NS (10 * NS_PER_MS)

static struct ovs_mutex pmds_mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list
    pmds OVS_GUARDED_BY(pmds_mutex) = OVS_LIST_INITIALIZER(&pmds);
static unsigned int n_blocked; /* Atomic: of all threads. */

static pthread_key_t exit_key;

uint64_t pmd_generation;
__thread struct doms_pmd *pmd_self;
__thread struct netdev_rxq *doms_pmd_received
    __attribute__((tls_model("initial-exec")));

/* Returns the time of a clock that never jumps, in ns. */
uint64_t
pmd_now(void)
{
    struct timespec ts;

    xclock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* A thread's queues. */

/* Takes the queue at 'slot' from 'pmd'. */
static void
remove_entry(struct doms_pmd *pmd, size_t slot)
    OVS_REQUIRES(pmds_mutex, pmd->mutex)
{
    struct doms_rxq *rxq = pmd->entries[slot].rxq;
    struct doms_channel *ch;
    struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

    if (rxq->is_parked) {
        pmd_mark_parked(pmd, rxq, false);
    }
    if (queue && rxq->has_bell && ch->serial == rxq->bell) {
        epoll_ctl(pmd->epoll_fd, EPOLL_CTL_DEL, queue->peer_bell_fd, NULL);
    }
    pmd_unannounce(rxq, queue);
    rxq->has_bell = rxq->is_hot = rxq->is_stuck = false;
    rxq->bell = 0;
    rxq->pmd = NULL;

    pmd->entries[slot] = pmd->entries[--pmd->n_entries];
    if (slot < pmd->n_entries) {
        pmd_move_bell(pmd, pmd->entries[slot].rxq, slot);
    }
}

static void
remove_rxq(struct doms_rxq *rxq) OVS_REQUIRES(pmds_mutex)
{
    struct doms_pmd *pmd = rxq->pmd;

    if (pmd) {
        ovs_mutex_lock(&pmd->mutex);
        remove_entry(pmd, rxq->slot);
        ovs_mutex_unlock(&pmd->mutex);
    }
}

static void
add_rxq(struct doms_pmd *pmd, struct doms_rxq *rxq) OVS_REQUIRES(pmds_mutex)
{
    ovs_mutex_lock(&pmd->mutex);
    if (pmd->n_entries >= pmd->allocated_entries) {
        pmd->entries = x2nrealloc(pmd->entries, &pmd->allocated_entries,
                                  sizeof *pmd->entries);
        pmd->open = xrealloc(pmd->open,
                             pmd->allocated_entries * sizeof *pmd->open);
    }
    rxq->slot = pmd->n_entries;
    rxq->active_ns = pmd_now();
    pmd->entries[pmd->n_entries++].rxq = rxq;
    ovs_mutex_unlock(&pmd->mutex);
    rxq->pmd = pmd;
}

/* The calling thread asks whether 'rxq' is enabled, as it does for each queue
 * that it loads, and again in some passes: notes that it polls it, if it is a
 * polling thread. */
void
doms_pmd_register(struct doms_rxq *rxq)
{
    struct doms_pmd *pmd = pmd_self;

    if (!pmd) {
        return;
    }
    ovs_mutex_lock(&pmds_mutex);
    if (rxq->pmd != pmd) {
        remove_rxq(rxq);
        add_rxq(pmd, rxq);
    }
    ovs_mutex_lock(&pmd->mutex);
    pmd->entries[rxq->slot].n_loads = pmd->n_loads;
    ovs_mutex_unlock(&pmd->mutex);
    ovs_mutex_unlock(&pmds_mutex);
}

/* Notes that 'rxq' is about to be freed. */
void
doms_pmd_forget(struct doms_rxq *rxq)
{
    ovs_mutex_lock(&pmds_mutex);
    remove_rxq(rxq);
    ovs_mutex_unlock(&pmds_mutex);
}

/* The calling thread, 'pmd', is about to load its queues.  The former ones may
 * be freed as soon as it has, and are not to be touched without a lock from
 * here on. */
static void
begin_load(struct doms_pmd *pmd)
{
    pmd->n_loads++;
    pmd->n_open = pmd->n_hot = 0;
}

/* Returns true if the calling thread, 'pmd', has loaded its queues since
 * pmd_begin(). */
static bool
has_loaded(const struct doms_pmd *pmd)
{
    return pmd->n_loads != pmd->begun_loads;
}

/* Forgets the queues that 'pmd' was not given again when it last loaded
 * them. */
static void
forget_stale(struct doms_pmd *pmd)
{
    ovs_mutex_lock(&pmds_mutex);
    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries;) {
        if (pmd->entries[i].n_loads != pmd->n_loads) {
            remove_entry(pmd, i);
        } else {
            pmd->entries[i++].rxq->is_hot = false;
        }
    }
    pmd->more_bursts = MIN(hmap_count(&pmd->ovs->send_port_cache)
                               / PORTS_A_BURST,
                           MAX_MORE_BURSTS);
    pmd->n_hot = 0;
    pmd_list_open(pmd);
    ovs_mutex_unlock(&pmd->mutex);
    ovs_mutex_unlock(&pmds_mutex);
}

/* Open vSwitch has called, in the calling thread, 'pmd': brings up to date what
 * is known of it.  Must come before anything else. */
void
pmd_begin(struct doms_pmd *pmd, uint64_t now)
{
    uint64_t generation = __atomic_load_n(&pmd_generation, __ATOMIC_SEQ_CST);

    if (OVS_UNLIKELY(has_loaded(pmd) || pmd->generation != generation)) {
        if (has_loaded(pmd)) {
            pmd->begun_loads = pmd->n_loads;
            forget_stale(pmd);
        }
        pmd->generation = generation;
        pmd_look_at_parked(pmd);
    }
    if (pmd->has_worked) {
        pmd->has_worked = false;
        pmd->busy_ns = now;
    }
}

/* Threads. */

/* Frees a thread's 'pmd_', as the thread ends. */
static void
pmd_destroy(void *pmd_)
{
    struct doms_pmd *pmd = pmd_;

    pmd_self = NULL;
    ovs_mutex_lock(&pmds_mutex);
    ovs_list_remove(&pmd->node);
    ovs_mutex_lock(&pmd->mutex);
    while (pmd->n_entries) {
        remove_entry(pmd, 0);
    }
    ovs_mutex_unlock(&pmd->mutex);
    ovs_mutex_unlock(&pmds_mutex);
    close(pmd->epoll_fd);
    close(pmd->kick_fd);
    ovs_mutex_destroy(&pmd->mutex);
    free(pmd->entries);
    free(pmd->open);
    free(pmd->name);
    free(pmd);
}

/* Makes the calling thread's 'pmd_self'; 'ovs' is the thread as Open vSwitch
 * sees it.  Without file descriptors the thread does as Open vSwitch has
 * it. */
static void
pmd_create(struct dp_netdev_pmd_thread *ovs)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET,
                                 .data.u64 = PMD_KICK };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct doms_pmd *pmd;

    if (epoll_fd < 0 || kick_fd < 0
        || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, kick_fd, &event)) {
        VLOG_WARN("no doorbells: %s", ovs_strerror(errno));
        if (epoll_fd >= 0) {
            close(epoll_fd);
        }
        if (kick_fd >= 0) {
            close(kick_fd);
        }
        return;
    }
    pmd = xzalloc(sizeof *pmd);
    pmd->name = xstrdup(get_subprogram_name());
    pmd->ovs = ovs;
    pmd->epoll_fd = epoll_fd;
    pmd->kick_fd = kick_fd;
    pmd->busy_ns = pmd_now();
    ovs_mutex_init(&pmd->mutex);
    ovs_mutex_lock(&pmds_mutex);
    ovs_list_push_back(&pmds, &pmd->node);
    ovs_mutex_unlock(&pmds_mutex);
    pmd_self = pmd;
    pthread_setspecific(exit_key, pmd);
}

static void
wake(struct doms_pmd *pmd)
{
    if (__atomic_load_n(&pmd->is_blocked, __ATOMIC_SEQ_CST)) {
        ignore(eventfd_write(pmd->kick_fd, 1));
    }
}

/* Notes that the calling thread, 'pmd', is about to block, or has blocked.
 * Must be called with a true 'blocked' before the thread looks last whether to
 * block. */
void
pmd_set_blocked(struct doms_pmd *pmd, bool blocked)
{
    __atomic_store_n(&pmd->is_blocked, blocked, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&n_blocked, blocked ? 1 : -1, __ATOMIC_SEQ_CST);
}

/* Wakes all polling threads that block, so that they look anew which bells
 * there are.  To be called after a port's channel has changed.  Any thread may
 * call it. */
void
doms_pmd_kick(void)
{
    struct doms_pmd *pmd;

    __atomic_add_fetch(&pmd_generation, 1, __ATOMIC_SEQ_CST);
    ovs_mutex_lock(&pmds_mutex);
    LIST_FOR_EACH (pmd, node, &pmds) {
        wake(pmd);
    }
    ovs_mutex_unlock(&pmds_mutex);
}

/* Open vSwitch is about to have the thread that waits for 'seq', if one does,
 * reload its queues. */
static void
wake_for_reload(const struct seq *seq)
{
    struct doms_pmd *pmd;

    ovs_mutex_lock(&pmds_mutex);
    LIST_FOR_EACH (pmd, node, &pmds) {
        if (pmd->ovs->reload_seq == seq) {
            __atomic_store_n(&pmd->awake_ns, pmd_now() + RELOAD_NS,
                             __ATOMIC_SEQ_CST);
            wake(pmd);
        }
    }
    ovs_mutex_unlock(&pmds_mutex);
}

/* 1024 turns have passed, and the calling thread, 'pmd', is about to look which
 * of its queues are enabled. */
static void
end_pass(struct doms_pmd *pmd)
{
    uint64_t now = pmd_now();

    pmd_begin(pmd, now);
    pmd->n_foreign = pmd->n_foreign_new;
    pmd->n_foreign_new = 0;
    pmd_run_parking(pmd, now);
    pmd->in_hurry = pmd->has_slept = false;
    pmd->pass_ns = now;
}

/* The calling thread, 'pmd', has handled a burst from 'rxq', of port
 * 'port_no': handles more of them, if it should. */
static void
end_burst(struct doms_pmd *pmd, struct netdev_rxq *rxq, odp_port_t port_no,
          dp_netdev_input_func input)
{
    pmd->has_worked = true;
    pmd_yield_after(pmd, 1);
    if (OVS_UNLIKELY(has_loaded(pmd))) {
        return;
    }
    for (unsigned int i = pmd->more_bursts; i > 0; i--) {
        struct dp_packet_batch batch;

        dp_packet_batch_init(&batch);
        if (netdev_rxq_recv(rxq, &batch, NULL)) {
            break;
        }
        doms_pmd_received = NULL;
        input(pmd->ovs, &batch, port_no);
        pmd->n_bursts++;
    }
    if (pmd->n_parked && ++pmd->n_bursts >= BURSTS_A_LOOK) {
        pmd_look_for_rings(pmd);
    } else if (pmd->n_hot) {
        pmd_poll_hot(pmd);
    }
}

/* What Open vSwitch calls in place of its own. */

void
doms_pmd_setspecific(ovsthread_key_t key, const void *value)
{
    static __thread bool has_started;

    ovsthread_setspecific(key, value);
    if (!has_started) {
        has_started = true;
        if (!strncmp(get_subprogram_name(), "pmd-", 4)) {
            pmd_create(CONST_CAST(void *, value));
        }
    }
}

void *
doms_pmd_xrealloc(void *p, size_t size)
{
    if (pmd_self) {
        begin_load(pmd_self);
    }
    return xrealloc(p, size);
}

void
doms_pmd_coverage_try_clear(void)
{
    coverage_try_clear();
    if (pmd_self) {
        end_pass(pmd_self);
    }
}

uint64_t
doms_pmd_get_change_seq(const struct netdev *netdev)
{
    uint64_t seq = netdev_get_change_seq(netdev);

    if (pmd_self) {
        if (netdev_doms_is_ours(netdev)) {
            return seq + pmd_self->change_seq;
        }
        pmd_self->n_foreign_new++;
    }
    return seq;
}

void
doms_pmd_seq_change(struct seq *seq)
{
    seq_change(seq);
    if (__atomic_load_n(&n_blocked, __ATOMIC_SEQ_CST)) {
        wake_for_reload(seq);
    }
}

/* Handles a burst by 'input', and what end_burst() does. */
static inline int32_t
input_burst(struct dp_netdev_pmd_thread *ovs, struct dp_packet_batch *batch,
            odp_port_t port_no, dp_netdev_input_func input)
{
    struct netdev_rxq *rxq = doms_pmd_received;
    int32_t retval = input(ovs, batch, port_no);

    if (rxq && pmd_self) {
        doms_pmd_received = NULL;
        end_burst(pmd_self, rxq, port_no, input);
    }
    return retval;
}

int32_t
dp_netdev_input(struct dp_netdev_pmd_thread *ovs,
                struct dp_packet_batch *batch, odp_port_t port_no)
{
    return input_burst(ovs, batch, port_no, ovs_dp_netdev_input);
}

#if __x86_64__
int32_t __real_dp_netdev_input_outer_avx512(struct dp_netdev_pmd_thread *,
                                            struct dp_packet_batch *,
                                            odp_port_t);
int32_t __wrap_dp_netdev_input_outer_avx512(struct dp_netdev_pmd_thread *,
                                            struct dp_packet_batch *,
                                            odp_port_t);

/* Leaves to the other what it cannot do. */
static int32_t
input_avx512(struct dp_netdev_pmd_thread *ovs, struct dp_packet_batch *batch,
             odp_port_t port_no)
{
    return __real_dp_netdev_input_outer_avx512(ovs, batch, port_no)
               ? ovs_dp_netdev_input(ovs, batch, port_no)
               : 0;
}

int32_t
__wrap_dp_netdev_input_outer_avx512(struct dp_netdev_pmd_thread *ovs,
                                    struct dp_packet_batch *batch,
                                    odp_port_t port_no)
{
    return input_burst(ovs, batch, port_no, input_avx512);
}
#endif

/* Status. */

static struct json *
pmd_to_json(struct doms_pmd *pmd)
{
    struct json *json = json_object_create();
    const struct {
        const char *name;
        const uint64_t *value;
    } values[] = {
        { "parked", &pmd->n_parked },   { "parks", &pmd->n_parks },
        { "unparks", &pmd->n_unparks }, { "heated", &pmd->n_heated },
        { "blocks", &pmd->n_blocks },   { "bells", &pmd->n_bells },
        { "scans", &pmd->n_scans },     { "forged", &pmd->n_forged },
    };

    json_object_put_string(json, "thread", pmd->name);
    ovs_mutex_lock(&pmd->mutex);
    json_object_put(json, "queues", json_integer_create(pmd->n_entries));
    ovs_mutex_unlock(&pmd->mutex);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        json_object_put(json, values[i].name,
                        json_integer_create(DOMS_READ_ONCE(*values[i].value)));
    }
    return json;
}

/* Returns what there is to tell of each polling thread. */
struct json *
doms_pmd_to_json(void)
{
    struct json *array = json_array_create_empty();
    struct doms_pmd *pmd;

    ovs_mutex_lock(&pmds_mutex);
    LIST_FOR_EACH (pmd, node, &pmds) {
        json_array_add(array, pmd_to_json(pmd));
    }
    ovs_mutex_unlock(&pmds_mutex);
    return array;
}

/* Must be called before the first polling thread starts. */
void
doms_pmd_init(void)
{
    xpthread_key_create(&exit_key, pmd_destroy);
}
