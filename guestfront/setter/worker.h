/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that move frames, one for each core given.
 *
 * A worker polls its queues in turn.  When it finds nothing it pauses, then asks
 * for notifications, from the switch by the front's doorbell and from the VMs'
 * drivers by their kicks, and blocks; without doorbells it sleeps in growing
 * steps.
 *
 * Thread-safety: worker_watch() and worker_wake() are for any thread, the
 * former for one that holds the queue; the others for the main thread.
 */

#ifndef DOMS_SETTER_WORKER_H
#define DOMS_SETTER_WORKER_H 1

#include <pthread.h>
#include <semaphore.h>

#include "guestfront/setter/queue.h"

/* How all workers wait. */
struct worker_config {
    struct domsfront_idle_config idle;
    bool yield; /* Give the core to others while polling in vain. */
};

struct worker {
    const struct worker_config *config;
    int cpu;              /* To be bound to, or -1. */
    int epoll_fd;         /* Of the kicks of its queues. */
    int wake_fd;          /* An eventfd that ends its waiting. */
    struct caller caller; /* For the drivers of its queues. */
    bool started;
    bool stop; /* Atomic. */
    pthread_t id;
    sem_t begun; /* Posted once the thread needs no more of the system than
                  * for frames. */

    unsigned int n; /* Entries of each of these. */
    struct queue **queues;
    struct domsfront_ref *refs; /* What to wait for; some of the queues'. */
};

int worker_init(struct worker *, const struct worker_config *, int cpu);
int worker_add(struct worker *, struct queue *);
int worker_start(struct worker *);
void worker_stop(struct worker *);

void worker_watch(struct queue *, int fd, bool on);
void worker_wake(struct queue *);

#endif /* worker.h */
