/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "ctl-output.h"
#include "ctl-request.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "timeval.h"
#include "util.h"

/* Lines after which 'stats' repeats its headings. */
#define LINES_A_HEADING 20

/* Waits until 'when', or until the file descriptor 'fd' can be read, if that
 * is not negative.  Returns true if it can. */
static bool
pause_until(struct ctl_backend *backend, long long int when, int fd)
{
    while (time_msec() < when) {
        backend->class->run(backend);
        if (fd >= 0) {
            struct pollfd pfd = { .fd = fd, .events = POLLIN };

            if (poll(&pfd, 1, 0) > 0) {
                return true;
            }
            poll_fd_wait(fd, POLLIN);
        }
        poll_timer_wait_until(when);
        poll_block();
    }
    return false;
}

/* 'stats'. */

static void
add_rates(struct ctl_table *table, const struct ctl_guest *g,
          const struct ctl_rates *r)
{
    const double values[] = { r->rx_packets, r->rx_bits, r->rx_drops,
                              r->tx_packets, r->tx_bits, r->tx_drops };

    ctl_table_cell(table, "%s", g->name);
    ctl_table_cell(table, "%s", ctl_guest_state(g));
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        char buf[CTL_SCALED_SIZE];

        ctl_table_cell(table, "%8s", ctl_scaled(values[i], buf));
    }
}

static const char *const rate_headings[] = {
    "NAME",       "STATE",     ">RX-PKT/S", ">RX-BIT/S",
    ">RX-DROP/S", ">TX-PKT/S", ">TX-BIT/S", ">TX-DROP/S",
};

/* Prints the rates between 'before' and 'now'; '*lines' counts the lines
 * since the last headings. */
static void
print_rates(const struct ctl_watch *watch, const struct ctl_snapshot *before,
            const struct ctl_snapshot *now, unsigned int *lines)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct ctl_table table;

    ctl_table_init(&table, rate_headings, ARRAY_SIZE(rate_headings));
    for (size_t i = 0; i < now->n; i++) {
        const struct ctl_guest *g = &now->guests[i];
        struct ctl_rates rates;

        if (watch->guest && strcmp(watch->guest, g->name)) {
            continue;
        }
        rates = ctl_rates_between(before, now, g);
        if (watch->json) {
            ctl_print_json(ctl_rates_to_json(g, &rates), 0);
        } else {
            add_rates(&table, g, &rates);
        }
    }
    ctl_table_format(&table, !*lines, &s);
    if (!watch->json) {
        fputs(ds_cstr(&s), stdout);
        fflush(stdout);
    }
    *lines += table.n_cells / table.n_columns;
    if (*lines >= LINES_A_HEADING) {
        *lines = 0;
    }
    ctl_table_destroy(&table);
    ds_destroy(&s);
}

/* Checks that 'snapshot' has what 'watch' is for. */
static enum ctl_status
check_guest(const struct ctl_watch *watch, const struct ctl_snapshot *snapshot,
            char **why)
{
    if (watch->guest && !ctl_snapshot_find(snapshot, watch->guest)) {
        *why = ctl_no_such_guest("stats", watch->guest, NULL);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

/* Prints the rates of the guests that 'watch' names, once an interval, until
 * its count is reached or the guest is gone. */
enum ctl_status
ctl_watch_stats(struct ctl_backend *backend, const struct ctl_watch *watch,
                char **why)
{
    struct ctl_snapshot before, now;
    unsigned int lines = 0;
    enum ctl_status status = backend->class->snapshot(backend, &before, why);

    if (status) {
        return status;
    }
    status = check_guest(watch, &before, why);
    for (unsigned int i = 0; !status && (!watch->count || i < watch->count);
         i++) {
        pause_until(backend, before.when + watch->interval_ms, -1);
        status = backend->class->snapshot(backend, &now, why);
        if (status) {
            break;
        }
        status = check_guest(watch, &now, why);
        if (!status && now.domsd_problem) {
            fprintf(stderr, "doms-ctl: %s\n", now.domsd_problem);
        } else if (!status) {
            print_rates(watch, &before, &now, &lines);
        }
        ctl_snapshot_destroy(&before);
        before = now;
    }
    ctl_snapshot_destroy(&before);
    return status;
}

/* 'top'. */

/* A guest and its rates, to be sorted. */
struct top_entry {
    const struct ctl_guest *guest; /* In the snapshot. */
    struct ctl_rates rates;        /* Its rates. */
};

static int
compare_entries(const void *a_, const void *b_)
{
    const struct top_entry *a = a_, *b = b_;
    double x = a->rates.rx_bits + a->rates.tx_bits;
    double y = b->rates.rx_bits + b->rates.tx_bits;

    return x < y ? 1 : x > y ? -1 : strcmp(a->guest->name, b->guest->name);
}

static void
format_summary(const struct ctl_snapshot *now, const struct top_entry *entries,
               struct ds *s)
{
    size_t n_up = 0, n_waiting = 0, n_other = 0;
    char packets[CTL_SCALED_SIZE], bits[CTL_SCALED_SIZE];
    double sum_packets = 0, sum_bits = 0;

    for (size_t i = 0; i < now->n; i++) {
        const char *state = entries[i].guest->state;

        n_up += !strcmp(state, "up");
        n_waiting += !strcmp(state, "waiting");
        n_other += strcmp(state, "up") && strcmp(state, "waiting");
        /* What one guest receives another has sent, or a port that is not a
         * guest's: count what enters the switch. */
        sum_packets += entries[i].rates.rx_packets;
        sum_bits += entries[i].rates.rx_bits;
    }
    ds_put_format(s,
                  "guests: %" PRIuSIZE ", %" PRIuSIZE " up, %" PRIuSIZE
                  " waiting, %" PRIuSIZE " other; they send %s packets/s, "
                  "%sbit/s\n",
                  now->n, n_up, n_waiting, n_other,
                  ctl_scaled(sum_packets, packets),
                  ctl_scaled(sum_bits, bits));
    if (now->domsd_problem) {
        ds_put_format(s, "%s\n", now->domsd_problem);
    }
}

/* Appends a screen of the guests' rates between 'before' and 'now' to 's'. */
static void
format_screen(const struct ctl_snapshot *before,
              const struct ctl_snapshot *now, struct ds *s)
{
    struct top_entry *entries = xcalloc(now->n, sizeof *entries);
    struct ctl_table table;

    for (size_t i = 0; i < now->n; i++) {
        entries[i].guest = &now->guests[i];
        entries[i].rates = ctl_rates_between(before, now, &now->guests[i]);
    }
    if (now->n) {
        qsort(entries, now->n, sizeof *entries, compare_entries);
    }
    format_summary(now, entries, s);
    ctl_table_init(&table, rate_headings, ARRAY_SIZE(rate_headings));
    for (size_t i = 0; i < now->n; i++) {
        add_rates(&table, entries[i].guest, &entries[i].rates);
    }
    ctl_table_format(&table, true, s);
    ctl_table_destroy(&table);
    free(entries);
}

/* Prints as much of 'screen' as the terminal shows, over what was there. */
static void
print_screen(const char *screen)
{
    struct winsize size = { .ws_row = 0 };
    unsigned int rows = 24, columns = 80;
    struct ds s = DS_EMPTY_INITIALIZER;

    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row
        && size.ws_col) {
        rows = size.ws_row;
        columns = size.ws_col;
    }
    ds_put_cstr(&s, "\033[H");
    for (unsigned int row = 1; row < rows && *screen; row++) {
        size_t n = strcspn(screen, "\n");

        ds_put_buffer(&s, screen, MIN(n, columns));
        ds_put_cstr(&s, "\033[K\r\n");
        screen += n + (screen[n] == '\n');
    }
    ds_put_cstr(&s, "\033[J(q quits)");
    fputs(ds_cstr(&s), stdout);
    fflush(stdout);
    ds_destroy(&s);
}

/* The keyboard, or -1.  Not STDIN_FILENO, since poll_fd_wait() does not take a
 * descriptor 0. */
static int keyboard = -1;
/* The terminal as it was. */
static struct termios saved_termios;
static volatile sig_atomic_t end_wanted;

static void
want_end(int signal_number OVS_UNUSED)
{
    end_wanted = 1;
}

/* Takes the terminal over, or gives it back. */
static void
own_terminal(bool own)
{
    struct termios raw;

    if (own) {
        keyboard = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        tcgetattr(STDIN_FILENO, &saved_termios);
        raw = saved_termios;
        raw.c_lflag &= ~(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        signal(SIGINT, want_end);
        signal(SIGTERM, want_end);
        signal(SIGHUP, want_end);
        /* The alternate screen, without a cursor. */
        fputs("\033[?1049h\033[?25l\033[2J", stdout);
    } else {
        fputs("\033[?25h\033[?1049l", stdout);
        fflush(stdout);
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
        close(keyboard);
        keyboard = -1;
    }
    fflush(stdout);
}

/* Waits until 'when'; returns false if the user wants to quit. */
static bool
pause_for_key(struct ctl_backend *backend, long long int when)
{
    /* A signal may come between a look at 'end_wanted' and the wait, so no
     * wait is long. */
    while (!end_wanted && time_msec() < when) {
        long long int slice = MIN(when, time_msec() + 200);
        char key;

        if (!pause_until(backend, slice, keyboard)) {
            continue;
        }
        if (read(keyboard, &key, 1) != 1 || strchr("qQ\003\033", key)) {
            return false;
        }
    }
    return !end_wanted;
}

static void
print_top(const struct ctl_watch *watch, const struct ctl_snapshot *before,
          const struct ctl_snapshot *now, bool screen)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    if (watch->json) {
        unsigned int lines = 0;

        print_rates(watch, before, now, &lines);
    } else {
        format_screen(before, now, &s);
        if (screen) {
            print_screen(ds_cstr(&s));
        } else {
            printf("%s\n", ds_cstr(&s));
            fflush(stdout);
        }
    }
    ds_destroy(&s);
}

/* Shows a live screen of rates, until the user quits or 'watch' ends it; if
 * the terminal is none, prints it, once if 'watch' does not say how often. */
enum ctl_status
ctl_watch_top(struct ctl_backend *backend, const struct ctl_watch *watch,
              char **why)
{
    bool screen = !watch->batch && !watch->json && isatty(STDIN_FILENO)
                  && isatty(STDOUT_FILENO);
    unsigned int count = watch->count ? watch->count : screen ? 0 : 1;
    struct ctl_snapshot before, now;
    enum ctl_status status = backend->class->snapshot(backend, &before, why);

    if (status) {
        return status;
    }
    if (screen) {
        own_terminal(true);
        print_top(watch, &before, &before, screen);
    }
    for (unsigned int i = 0; !count || i < count; i++) {
        if (!pause_for_key(backend, before.when + watch->interval_ms)) {
            break;
        }
        status = backend->class->snapshot(backend, &now, why);
        if (status) {
            break;
        }
        print_top(watch, &before, &now, screen);
        ctl_snapshot_destroy(&before);
        before = now;
    }
    if (screen) {
        own_terminal(false);
    }
    ctl_snapshot_destroy(&before);
    return status;
}
