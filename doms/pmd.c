/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The polling threads and which queues are whose.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "openvswitch/json.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_pmd);

/* After a change of ports, further ones are likely, and each is to find the
 * threads awake. */
#define AWAKE_NS (100 * NS_PER_MS)

static struct ovs_mutex pmds_mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list pmds OVS_GUARDED_BY(pmds_mutex) =
    OVS_LIST_INITIALIZER(&pmds);

static pthread_key_t exit_key;

uint64_t pmd_generation;
uint64_t pmd_awake_ns;
__thread struct doms_pmd *pmd_self;
__thread bool doms_pmd_has_worked __attribute__((tls_model("initial-exec")));

/* Returns the time of a clock that never jumps, in ns. */
uint64_t
pmd_now(void)
{
    struct timespec ts;

    xclock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Returns the queue that 'rxq' receives from, with its channel in '*chp', or
 * NULL if there is none.  They may be used until the thread quiesces. */
struct doms_channel_queue *
pmd_rxq_queue(const struct doms_rxq *rxq, struct doms_channel **chp)
{
    struct doms_channel *ch
        = netdev_doms_channel(netdev_doms_cast(rxq->up.netdev));

    *chp = ch;
    return ch && rxq->up.queue_id < ch->geometry.n_queues
               ? &ch->queues[rxq->up.queue_id]
               : NULL;
}

/* Takes 'rxq' from the thread that polls it. */
static void
remove_rxq(struct doms_rxq *rxq) OVS_REQUIRES(pmds_mutex)
{
    struct doms_pmd *pmd = rxq->pmd;
    struct doms_channel_queue *queue;
    struct doms_channel *ch;

    if (!pmd) {
        return;
    }
    ovs_mutex_lock(&pmd->mutex);
    pmd->rxqs[rxq->slot] = pmd->rxqs[--pmd->n_rxqs];
    pmd->rxqs[rxq->slot]->slot = rxq->slot;
    if (rxq->is_parked) {
        pmd_count(&pmd->n_parked, -1);
    }
    queue = pmd_rxq_queue(rxq, &ch);
    if (queue && rxq->has_bell && ch->serial == rxq->bell) {
        epoll_ctl(pmd->epoll_fd, EPOLL_CTL_DEL, queue->peer_bell_fd, NULL);
    }
    if (queue && rxq->is_announced) {
        doms_queue_wake_up(&queue->q);
    }
    __atomic_store_n(&rxq->is_parked, false, __ATOMIC_RELAXED);
    rxq->has_bell = rxq->is_announced = rxq->is_stuck = false;
    rxq->bell = 0;
    ovs_mutex_unlock(&pmd->mutex);
    rxq->pmd = NULL;
}

static void
add_rxq(struct doms_pmd *pmd, struct doms_rxq *rxq) OVS_REQUIRES(pmds_mutex)
{
    ovs_mutex_lock(&pmd->mutex);
    if (pmd->n_rxqs >= pmd->allocated_rxqs) {
        pmd->rxqs = x2nrealloc(pmd->rxqs, &pmd->allocated_rxqs,
                               sizeof *pmd->rxqs);
    }
    rxq->slot = pmd->n_rxqs;
    rxq->active_ns = pmd_now();
    pmd->rxqs[pmd->n_rxqs++] = rxq;
    ovs_mutex_unlock(&pmd->mutex);
    rxq->pmd = pmd;
}

/* Frees a thread's 'pmd_', as the thread ends. */
static void
pmd_destroy(void *pmd_)
{
    struct doms_pmd *pmd = pmd_;

    pmd_self = NULL;
    ovs_mutex_lock(&pmds_mutex);
    ovs_list_remove(&pmd->node);
    while (pmd->n_rxqs) {
        remove_rxq(pmd->rxqs[0]);
    }
    ovs_mutex_unlock(&pmds_mutex);
    close(pmd->epoll_fd);
    close(pmd->kick_fd);
    ovs_mutex_destroy(&pmd->mutex);
    free(pmd->rxqs);
    free(pmd->name);
    free(pmd);
}

/* Makes the calling thread's 'pmd_self'.  Returns false if there are no file
 * descriptors left; the thread then sleeps as Open vSwitch has it. */
static bool
pmd_create(void)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 1);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct doms_pmd *pmd;

    if (epoll_fd < 0 || kick_fd < 0
        || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, kick_fd, &event)) {
        VLOG_WARN_RL(&rl, "no doorbells for %s: %s", get_subprogram_name(),
                     ovs_strerror(errno));
        if (epoll_fd >= 0) {
            close(epoll_fd);
        }
        if (kick_fd >= 0) {
            close(kick_fd);
        }
        return false;
    }
    pmd = xzalloc(sizeof *pmd);
    pmd->name = xstrdup(get_subprogram_name());
    pmd->epoll_fd = epoll_fd;
    pmd->kick_fd = kick_fd;
    pmd->busy_ns = pmd_now();
    ovs_mutex_init(&pmd->mutex);
    ovs_mutex_lock(&pmds_mutex);
    ovs_list_push_back(&pmds, &pmd->node);
    ovs_mutex_unlock(&pmds_mutex);
    pmd_self = pmd;
    pthread_setspecific(exit_key, pmd);
    return true;
}

/* Notes that the calling thread polls 'rxq', if it is a polling thread. */
void
doms_pmd_register(struct doms_rxq *rxq)
{
    if (!pmd_self
        && (strncmp(get_subprogram_name(), "pmd-", 4) || !pmd_create())) {
        return;
    }
    ovs_mutex_lock(&pmds_mutex);
    if (rxq->pmd != pmd_self) {
        remove_rxq(rxq);
        add_rxq(pmd_self, rxq);
    }
    ovs_mutex_unlock(&pmds_mutex);
}

/* Notes that nobody polls 'rxq' any more. */
void
doms_pmd_forget(struct doms_rxq *rxq)
{
    ovs_mutex_lock(&pmds_mutex);
    remove_rxq(rxq);
    ovs_mutex_unlock(&pmds_mutex);
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
        if (__atomic_load_n(&pmd->is_blocked, __ATOMIC_SEQ_CST)) {
            ignore(eventfd_write(pmd->kick_fd, 1));
        }
    }
    ovs_mutex_unlock(&pmds_mutex);
}

/* Keeps all polling threads from blocking for a while: Open vSwitch is about
 * to reconfigure ports, in which it waits for the threads.  Any thread may
 * call it. */
void
doms_pmd_expect_reload(void)
{
    __atomic_store_n(&pmd_awake_ns, pmd_now() + AWAKE_NS, __ATOMIC_RELAXED);
    doms_pmd_kick();
}

/* Notes whether the calling thread, 'pmd', has worked since the last call. */
void
pmd_note_traffic(struct doms_pmd *pmd, uint64_t now)
{
    if (doms_pmd_has_worked) {
        doms_pmd_has_worked = false;
        pmd->busy_ns = now;
    }
}

/* 1024 turns have passed, and the calling thread, 'pmd', is about to look which
 * of its queues are enabled. */
static void
pmd_pass(struct doms_pmd *pmd)
{
    uint64_t now = pmd_now();

    pmd_note_traffic(pmd, now);
    pmd->n_foreign = pmd->n_foreign_new;
    pmd->n_foreign_new = 0;
    pmd->in_hurry = false;
    pmd_run_parking(pmd, now);
}

/* What Open vSwitch calls. */

void __real_coverage_try_clear(void);
void __wrap_coverage_try_clear(void);

void
__wrap_coverage_try_clear(void)
{
    __real_coverage_try_clear();
    if (pmd_self) {
        pmd_pass(pmd_self);
    }
}

uint64_t __real_netdev_get_change_seq(const struct netdev *);
uint64_t __wrap_netdev_get_change_seq(const struct netdev *);

uint64_t
__wrap_netdev_get_change_seq(const struct netdev *netdev)
{
    uint64_t seq = __real_netdev_get_change_seq(netdev);

    if (pmd_self) {
        if (netdev_doms_is_ours(netdev)) {
            return seq + pmd_self->change_seq;
        }
        pmd_self->n_foreign_new++;
    }
    return seq;
}

/* Status. */

static struct json *
pmd_to_json(struct doms_pmd *pmd)
{
    struct json *json = json_object_create();
    const struct {
        const char *name;
        const uint64_t *value;
    } values[] = {
        { "parked", &pmd->n_parked },  { "parks", &pmd->n_parks },
        { "unparks", &pmd->n_unparks }, { "blocks", &pmd->n_blocks },
        { "bells", &pmd->n_bells },    { "scans", &pmd->n_scans },
        { "forged", &pmd->n_forged },
    };

    json_object_put_string(json, "thread", pmd->name);
    ovs_mutex_lock(&pmd->mutex);
    json_object_put(json, "queues", json_integer_create(pmd->n_rxqs));
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
