/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms-watchdog-judge.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/compiler.h"
#include "svec.h"
#include "util.h"

/* Longer than this between two runs, and the watchdog was kept from
 * running. */
#define GAP_MS 1000

/* How long to wait for Xen to take a dead domain apart. */
#define DYING_MS 5000

const char *
watch_state_name(enum watch_state state)
{
    static const char *const names[] = { "absent", "creating",   "booting",
                                         "up",     "destroying", "pause",
                                         "gave-up" };

    return state < ARRAY_SIZE(names) ? names[state] : "?";
}

/* Makes 'w' one that has not seen anything yet. */
void
watch_init(struct watch *w, const struct xen_conf *conf)
{
    memset(w, 0, sizeof *w);
    w->conf = conf;
    w->last_outage = -1;
}

static void say(const struct watch *, long long int now, struct svec *log,
                const char *format, ...) OVS_PRINTF_FORMAT(4, 5);

/* Adds the line 'format' to 'log', with the time since DomS failed. */
static void
say(const struct watch *w, long long int now, struct svec *log,
    const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    if (w->failing) {
        svec_add_nocopy(log,
                        xasprintf("+%lld ms: %s", now - w->failed_at, text));
        free(text);
    } else {
        svec_add_nocopy(log, text);
    }
}

unsigned int
watch_recent(const struct watch *w, long long int now)
{
    unsigned int n = 0;

    for (size_t i = 0; i < MIN(w->n_restarts, WATCH_HISTORY); i++) {
        n += now - w->history[i] < w->conf->restart_window_ms;
    }
    return n;
}

void
watch_retry(struct watch *w)
{
    w->n_failures = 0;
    w->next_start = 0;
    memset(w->history, 0, sizeof w->history);
    for (size_t i = 0; i < WATCH_HISTORY; i++) {
        w->history[i] = LLONG_MIN / 2;
    }
    if (w->state == WATCH_GAVE_UP || w->state == WATCH_PAUSE) {
        w->state = WATCH_ABSENT;
    }
}

static void fail(struct watch *, long long int now, struct svec *log,
                 const char *format, ...) OVS_PRINTF_FORMAT(4, 5);

/* Notes that a life has ended, or that none could be begun, and why. */
static void
fail(struct watch *w, long long int now, struct svec *log, const char *format,
     ...)
{
    long long int pause = 0;
    va_list args;

    va_start(args, format);
    vsnprintf(w->reason, sizeof w->reason, format, args);
    va_end(args);
    if (w->up_since && now - w->up_since >= w->conf->stable_ms) {
        w->n_failures = 0;
    }
    if (w->n_failures) {
        pause = w->conf->backoff_min_ms;
        for (unsigned int i = 1;
             i < w->n_failures && pause < w->conf->backoff_max_ms; i++) {
            pause *= 2;
        }
        pause = MIN(pause, w->conf->backoff_max_ms);
    }
    w->n_failures = MIN(w->n_failures + 1, 32);
    w->next_start = now + pause;
    w->up_since = 0;
    if (!w->failing) {
        w->failing = true;
        w->failed_at = now;
    }
    say(w, now, log, "%s", w->reason);
}

/* Decides that the domain is to be destroyed. */
static enum watch_action
destroy(struct watch *w, long long int now, struct svec *log)
{
    say(w, now, log, "destroying domain %u", w->domid);
    w->state = WATCH_DESTROYING;
    return WATCH_DESTROY;
}

/* Judges that there is no domain. */
static enum watch_action
run_absent(struct watch *w, const struct watch_sight *sight, long long int now,
           struct svec *log)
{
    unsigned int recent = watch_recent(w, now);

    if (w->state == WATCH_GAVE_UP) {
        return WATCH_NOTHING;
    }
    if (!sight->can_create) {
        w->state = WATCH_ABSENT;
        return WATCH_NOTHING;
    }
    if (w->failing && w->conf->restart_limit
        && recent >= w->conf->restart_limit) {
        say(w, now, log,
            "giving up after %u restarts within %u s: find out why DomS does "
            "not stay up, then 'doms-ctl watchdog retry'",
            recent, w->conf->restart_window_ms / 1000);
        w->state = WATCH_GAVE_UP;
        return WATCH_NOTHING;
    }
    if (now < w->next_start) {
        if (w->state != WATCH_PAUSE) {
            say(w, now, log, "creating it in %lld ms", w->next_start - now);
        }
        w->state = WATCH_PAUSE;
        return WATCH_NOTHING;
    }
    if (w->failing) {
        w->history[w->n_restarts++ % WATCH_HISTORY] = now;
    }
    say(w, now, log, "creating DomS from %s", w->conf->config);
    w->state = WATCH_CREATING;
    return WATCH_CREATE;
}

/* Notes a heartbeat, if there is one. */
static void
look_at_beat(struct watch *w, const struct watch_sight *sight,
             long long int now, struct svec *log)
{
    if (sight->page != w->page) {
        w->page = sight->page;
        w->beat = sight->beat;
        w->beat_at = now;
        if (w->state == WATCH_UP) {
            say(w, now, log,
                w->page ? "the switch in domain %u was started anew"
                        : "the switch in domain %u has ended",
                w->domid);
            w->state = WATCH_BOOTING;
            w->since = now;
        }
    } else if (w->page && sight->beat != w->beat) {
        w->beat = sight->beat;
        w->beat_at = now;
        if (w->state == WATCH_UP) {
            return;
        }
        say(w, now, log, "the switch in domain %u is up, after %lld ms",
            w->domid, now - w->since);
        w->state = WATCH_UP;
        if (!w->up_since) {
            w->up_since = now;
        }
        if (w->failing) {
            w->last_outage = now - w->failed_at;
            w->failing = false;
        }
    }
}

/* Judges a domain that lives. */
static enum watch_action
run_alive(struct watch *w, const struct watch_sight *sight, long long int now,
          struct svec *log)
{
    look_at_beat(w, sight, now, log);
    if (w->state == WATCH_UP) {
        if (now - w->beat_at <= w->conf->hang_timeout_ms) {
            return WATCH_NOTHING;
        }
        fail(w, now, log,
             "the switch in domain %u hangs: no heartbeat for %lld ms",
             w->domid, now - w->beat_at);
    } else {
        if (now - w->since <= w->conf->start_timeout_ms) {
            return WATCH_NOTHING;
        }
        fail(w, now, log, "the switch in domain %u has not come up in %u ms",
             w->domid, w->conf->start_timeout_ms);
    }
    if (!sight->can_create) {
        say(w, now, log, "left as it is, since %s cannot be read",
            w->conf->config);
        w->state = WATCH_BOOTING;
        w->since = now;
        return WATCH_NOTHING;
    }
    return destroy(w, now, log);
}

/* Judges a domain that is dead, but still there. */
static enum watch_action
run_dead(struct watch *w, const struct watch_sight *sight, long long int now,
         struct svec *log)
{
    const char *how = sight->life == XEN_DOM_CRASHED    ? "has crashed"
                      : sight->life == XEN_DOM_SHUTDOWN ? "has shut down"
                                                        : "is dying";

    if (!w->last_dying) {
        w->last_dying = now;
        /* One that is being destroyed for a reason has failed already. */
        if (w->state != WATCH_ABSENT) {
            fail(w, now, log, "DomS (domain %u) %s", w->domid, how);
        }
        w->state = WATCH_ABSENT;
    }
    if (sight->life != XEN_DOM_DYING) {
        return sight->can_create ? destroy(w, now, log) : WATCH_NOTHING;
    }
    if (now - w->last_dying < DYING_MS) {
        return WATCH_NOTHING;
    }
    if (w->state != WATCH_PAUSE && w->state != WATCH_GAVE_UP) {
        say(w, now, log,
            "domain %u is still not gone; somebody maps its memory", w->domid);
    }
    return run_absent(w, sight, now, log);
}

/* Notes how what was to be done last has ended. */
static void
end_action(struct watch *w, const struct watch_sight *sight, long long int now,
           struct svec *log)
{
    if (w->state == WATCH_CREATING) {
        w->state = WATCH_ABSENT;
        if (sight->failed) {
            fail(w, now, log, "DomS could not be created");
        }
    } else if (w->state == WATCH_DESTROYING) {
        w->state = WATCH_ABSENT;
        if (sight->failed && sight->domid == w->domid
            && sight->life != XEN_DOM_GONE) {
            /* Look at it anew; it gets a little time. */
            w->domid = 0;
        }
    }
}

enum watch_action
watch_run(struct watch *w, const struct watch_sight *sight, long long int now,
          struct svec *log)
{
    long long int gap = w->last_run ? now - w->last_run : 0;

    w->last_run = now;
    if (gap > GAP_MS) {
        w->since += gap;
        w->beat_at += gap;
    }
    if (sight->busy) {
        return WATCH_NOTHING;
    }
    end_action(w, sight, now, log);
    if (sight->domid && sight->domid != w->domid) {
        if (w->domid) {
            fail(w, now, log, "domain %u was replaced", w->domid);
        }
        w->domid = sight->domid;
        w->since = w->beat_at = now;
        w->up_since = w->last_dying = 0;
        w->page = 0;
        w->state = WATCH_BOOTING;
        say(w, now, log, "DomS is domain %u", w->domid);
    }
    if (!sight->domid || sight->life == XEN_DOM_GONE) {
        if (w->domid && w->state != WATCH_ABSENT && !w->last_dying) {
            fail(w, now, log, "DomS (domain %u) has gone", w->domid);
            w->state = WATCH_ABSENT;
        }
        w->domid = 0;
        w->last_dying = 0;
        return run_absent(w, sight, now, log);
    }
    return sight->life == XEN_DOM_LIVES ? run_alive(w, sight, now, log)
                                        : run_dead(w, sight, now, log);
}

long long int
watch_next(const struct watch *w)
{
    switch (w->state) {
    case WATCH_PAUSE:
        return w->next_start;
    case WATCH_BOOTING:
        return w->since + w->conf->start_timeout_ms + 1;
    case WATCH_UP:
        return w->beat_at + w->conf->hang_timeout_ms + 1;
    case WATCH_ABSENT:
        return w->last_dying ? w->last_dying + DYING_MS : LLONG_MAX;
    case WATCH_CREATING:
    case WATCH_DESTROYING:
    case WATCH_GAVE_UP:
    default:
        return LLONG_MAX;
    }
}
