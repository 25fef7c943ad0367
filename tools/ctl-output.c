/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-output.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/shash.h"
#include "util.h"

/* Tables. */

/* Makes 'table' an empty one with the 'n_columns' 'headings', which must
 * outlive it. */
void
ctl_table_init(struct ctl_table *table, const char *const headings[],
               size_t n_columns)
{
    *table = (struct ctl_table){ .headings = headings,
                                 .n_columns = n_columns };
}

/* Frees what 'table' holds. */
void
ctl_table_destroy(struct ctl_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++) {
        free(table->cells[i]);
    }
    free(table->cells);
}

/* Adds the next cell of the current row, or the first of a new one. */
void
ctl_table_cell(struct ctl_table *table, const char *format, ...)
{
    va_list args;

    if (table->n_cells >= table->allocated) {
        table->cells = x2nrealloc(table->cells, &table->allocated,
                                  sizeof *table->cells);
    }
    va_start(args, format);
    table->cells[table->n_cells++] = xvasprintf(format, args);
    va_end(args);
}

static void
format_cell(const char *text, int width, bool right, bool last, struct ds *s)
{
    if (right) {
        ds_put_format(s, "%*s", width, text);
    } else if (last) {
        ds_put_cstr(s, text);
    } else {
        ds_put_format(s, "%-*s", width, text);
    }
    ds_put_cstr(s, last ? "\n" : "  ");
}

/* Appends 'table' to 's', with its headings if 'headings'. */
void
ctl_table_format(const struct ctl_table *table, bool headings, struct ds *s)
{
    size_t n = table->n_columns;
    int *widths = xcalloc(n, sizeof *widths);

    for (size_t i = 0; i < n; i++) {
        const char *heading = table->headings[i];

        widths[i] = strlen(heading) - (*heading == '>');
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        widths[i % n] = MAX(widths[i % n], (int) strlen(table->cells[i]));
    }
    for (size_t i = 0; headings && i < n; i++) {
        const char *heading = table->headings[i];
        bool right = *heading == '>';

        format_cell(heading + right, widths[i], right, i == n - 1, s);
    }
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % n;

        format_cell(table->cells[i], widths[column],
                    *table->headings[column] == '>', column == n - 1, s);
    }
    free(widths);
}

/* Writes 'value' into 'buf', with at least three digits and a letter for its
 * power of 1000, and returns 'buf'. */
const char *
ctl_scaled(double value, char buf[CTL_SCALED_SIZE])
{
    static const char letters[] = " kMGTP";
    size_t i = 0;

    if (value < 999.5) {
        snprintf(buf, CTL_SCALED_SIZE, "%.0f", value);
        return buf;
    }
    while (value >= 999.5 && letters[i + 1]) {
        value /= 1000;
        i++;
    }
    snprintf(buf, CTL_SCALED_SIZE, "%.*f%c",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, letters[i]);
    return buf;
}

/* Rates. */

static double
rate(const struct ctl_guest *before, const struct ctl_guest *now,
     const char *name, double seconds)
{
    int64_t a = ctl_guest_counter(before, name);
    int64_t b = ctl_guest_counter(now, name);

    /* The counters start anew with domsd. */
    return b > a && seconds > 0 ? (b - a) / seconds : 0;
}

/* Returns the rates of 'guest', which is in 'now', since 'before'; zeros if
 * it was not there. */
struct ctl_rates
ctl_rates_between(const struct ctl_snapshot *before,
                  const struct ctl_snapshot *now,
                  const struct ctl_guest *guest)
{
    const struct ctl_guest *old = ctl_snapshot_find(before, guest->name);
    double seconds = (now->when - before->when) / 1000.0;

    if (!old) {
        return (struct ctl_rates){ .rx_packets = 0 };
    }
    return (struct ctl_rates){
        .rx_packets = rate(old, guest, "rx_packets", seconds),
        .rx_bits = rate(old, guest, "rx_bytes", seconds) * 8,
        .rx_drops = rate(old, guest, "rx_dropped", seconds),
        .tx_packets = rate(old, guest, "tx_packets", seconds),
        .tx_bits = rate(old, guest, "tx_bytes", seconds) * 8,
        .tx_drops = rate(old, guest, "tx_dropped", seconds),
    };
}

/* Returns the name of 'state', a XenbusState. */
const char *
ctl_xenbus_state(unsigned int state)
{
    static const char *const names[] = {
        "none",      "initialising", "initwait", "initialised",
        "connected", "closing",      "closed",
    };

    return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* JSON. */

/* Prints 'json' as one line or, with JSSF_PRETTY in 'flags', as several, and
 * frees it. */
void
ctl_print_json(struct json *json, int flags)
{
    char *s = json_to_string(json, flags | JSSF_SORT);

    puts(s);
    fflush(stdout);
    free(s);
    json_destroy(json);
}

static void
put_integer(struct json *object, const char *name, int64_t value)
{
    json_object_put(object, name, json_integer_create(value));
}

/* Returns the strings in 'list', which commas separate, as a JSON array. */
static struct json *
split(const char *list)
{
    struct json *array = json_array_create_empty();
    char *copy = xstrdup(list);
    char *save = NULL;

    for (char *item = strtok_r(copy, ",", &save); item;
         item = strtok_r(NULL, ",", &save)) {
        json_array_add(array, json_string_create(item));
    }
    free(copy);
    return array;
}

static struct json *
xen_to_json(const struct ctl_guest_xen *x)
{
    struct json *object = json_object_create();

    json_object_put_string(object, "domain", x->domain);
    put_integer(object, "domid", x->domid);
    put_integer(object, "doms_domid", x->doms);
    put_integer(object, "handle", x->handle);
    json_object_put_string(object, "front", ctl_xenbus_state(x->front_state));
    json_object_put_string(object, "back", ctl_xenbus_state(x->back_state));
    json_object_put_string(object, "error", x->error);
    return object;
}

/* Returns all about 'g' as a JSON object. */
struct json *
ctl_guest_to_json(const struct ctl_guest *g)
{
    struct json *object = json_object_create();
    struct json *queues = json_object_create();

    json_object_put_string(object, "name", g->name);
    json_object_put_string(object, "port", g->port);
    json_object_put_string(object, "bridge", g->bridge);
    json_object_put_string(object, "state", g->state);
    json_object_put_string(object, "reason", g->reason);
    json_object_put_string(object, "door", g->door);
    json_object_put_string(object, "mac", g->mac);
    put_integer(object, "mtu", g->mtu);
    put_integer(queues, "port", g->n_queues);
    put_integer(queues, "channel", g->n_channel_queues);
    json_object_put(object, "queues", queues);
    put_integer(object, "arena", g->arena);
    json_object_put(object, "tag",
                    g->tag >= 0 ? json_integer_create(g->tag)
                                : json_null_create());
    json_object_put_string(object, "trunks", g->trunks);
    json_object_put_string(object, "vlan_mode", g->vlan_mode);
    put_integer(object, "rate", g->rate);
    json_object_put_string(object, "iface-id", g->iface_id);
    put_integer(object, "ofport", g->ofport);
    json_object_put_string(object, "error", g->error);
    json_object_put(object, "features", split(g->features));
    put_integer(object, "epoch", g->epoch);
    put_integer(object, "pid", g->pid);
    put_integer(object, "connects", g->connects);
    json_object_put(object, "counters", json_clone(g->counters));
    if (g->xen) {
        json_object_put(object, "xen", xen_to_json(g->xen));
    }
    return object;
}

/* Returns the rates 'r' of 'g' as a JSON object of whole numbers. */
struct json *
ctl_rates_to_json(const struct ctl_guest *g, const struct ctl_rates *r)
{
    struct json *object = json_object_create();

    json_object_put_string(object, "name", g->name);
    json_object_put_string(object, "state", g->state);
    put_integer(object, "rx_packets_per_s", r->rx_packets);
    put_integer(object, "rx_bits_per_s", r->rx_bits);
    put_integer(object, "rx_dropped_per_s", r->rx_drops);
    put_integer(object, "tx_packets_per_s", r->tx_packets);
    put_integer(object, "tx_bits_per_s", r->tx_bits);
    put_integer(object, "tx_dropped_per_s", r->tx_drops);
    return object;
}

/* Text. */

/* Returns the state of 'g' in words short enough for a table. */
const char *
ctl_guest_state(const struct ctl_guest *g)
{
    bool about_switch = !strncmp(g->reason, "domsd ", strlen("domsd "))
                        || !strncmp(g->reason, "DomS ", strlen("DomS "));

    return !strcmp(g->state, "unknown") && about_switch
                   && strlen(g->reason) < 24
               ? g->reason
               : g->state;
}

static void
table_count(struct ctl_table *table, const struct ctl_guest *g,
            const char *counter)
{
    char buf[CTL_SCALED_SIZE];

    ctl_table_cell(table, "%s",
                   ctl_scaled(ctl_guest_counter(g, counter), buf));
}

/* Appends the guests of 'snapshot' to 's', one a line. */
void
ctl_format_list(const struct ctl_snapshot *snapshot, struct ds *s)
{
    static const char *const headings[] = {
        "NAME",    "BRIDGE", "STATE",  "MAC", ">MTU",
        ">QUEUES", ">TAG",   ">GUEST", ">RX", ">TX",
    };
    struct ctl_table table;

    ctl_table_init(&table, headings, ARRAY_SIZE(headings));
    for (size_t i = 0; i < snapshot->n; i++) {
        const struct ctl_guest *g = &snapshot->guests[i];
        int64_t guest;

        ctl_table_cell(&table, "%s", g->name);
        ctl_table_cell(&table, "%s", g->bridge[0] ? g->bridge : "-");
        ctl_table_cell(&table, "%s", ctl_guest_state(g));
        ctl_table_cell(&table, "%s", g->mac[0] ? g->mac : "-");
        ctl_table_cell(&table, g->mtu ? "%" PRId64 : "-", g->mtu);
        if (g->n_channel_queues && g->n_channel_queues != g->n_queues) {
            ctl_table_cell(&table, "%" PRId64 "/%" PRId64, g->n_channel_queues,
                           g->n_queues);
        } else {
            ctl_table_cell(&table, "%" PRId64, g->n_queues);
        }
        if (g->tag >= 0) {
            ctl_table_cell(&table, "%" PRId64, g->tag);
        } else {
            ctl_table_cell(&table, "%s", g->trunks[0] ? "trunk" : "-");
        }
        guest = g->xen ? g->xen->domid : g->pid;
        ctl_table_cell(&table, guest ? "%" PRId64 : "-", guest);
        table_count(&table, g, "rx_packets");
        table_count(&table, g, "tx_packets");
    }
    ctl_table_format(&table, true, s);
    ctl_table_destroy(&table);
}

static void put_line(struct ds *, const char *name, const char *format, ...)
    OVS_PRINTF_FORMAT(3, 4);

static void
put_line(struct ds *s, const char *name, const char *format, ...)
{
    va_list args;

    ds_put_format(s, "%-12s", name);
    va_start(args, format);
    ds_put_format_valist(s, format, args);
    va_end(args);
    ds_put_char(s, '\n');
}

/* Appends which domains are the ends of the port of 'g', and what their
 * devices are up to. */
static void
put_xen(struct ds *s, const struct ctl_guest *g)
{
    const struct ctl_guest_xen *x = g->xen;
    const char *bridge = g->bridge[0] ? g->bridge : "the only one";

    put_line(s, "bridge", "%s", bridge);
    if (x->domid) {
        put_line(s, "front", "%s, device %u of %s (domain %u)",
                 ctl_xenbus_state(x->front_state), x->handle, x->domain,
                 x->domid);
    } else {
        put_line(s, "front", "none, %s is not running", x->domain);
    }
    if (x->doms) {
        put_line(s, "back", "%s, in DomS (domain %u)%s%s",
                 ctl_xenbus_state(x->back_state), x->doms,
                 x->error[0] ? ": " : "", x->error);
    } else {
        put_line(s, "back", "none, DomS is not running");
    }
}

/* Appends all about 'g' to 's', a line a fact. */
void
ctl_format_guest(const struct ctl_guest *g, struct ds *s)
{
    char buf[CTL_SCALED_SIZE];

    put_line(s, "name", "%s", g->name);
    put_line(s, "state", "%s%s%s", g->state, g->reason[0] ? ": " : "",
             g->reason);
    if (g->xen) {
        put_xen(s, g);
    } else {
        put_line(s, "port", "%s on bridge %s, OpenFlow port %" PRId64, g->port,
                 g->bridge, g->ofport);
    }
    put_line(s, "guest", "%s%s%s",
             g->n_channel_queues ? "attached" : "not attached",
             g->door[0] ? ", door " : "", g->door);
    if (g->pid) {
        put_line(s, "pid", "%" PRId64, g->pid);
    }
    put_line(s, "connects", "%" PRId64, g->connects);
    put_line(s, "mac", "%s", g->mac[0] ? g->mac : "-");
    put_line(s, "mtu", g->mtu ? "%" PRId64 : "-", g->mtu);
    put_line(s, "queues", "%" PRId64 " made, %" PRId64 " in use", g->n_queues,
             g->n_channel_queues);
    put_line(s, "arena", g->arena ? "%" PRId64 " bytes a ring" : "default",
             g->arena);
    put_line(s, "features", "%s", g->features[0] ? g->features : "-");
    if (g->tag >= 0) {
        put_line(s, "tag", "%" PRId64, g->tag);
    }
    if (g->trunks[0]) {
        put_line(s, "trunks", "%s", g->trunks);
    }
    if (g->vlan_mode[0]) {
        put_line(s, "vlan_mode", "%s", g->vlan_mode);
    }
    put_line(s, "rate", g->rate ? "%sbit/s" : "no limit",
             ctl_scaled(g->rate, buf));
    if (g->iface_id[0]) {
        put_line(s, "iface-id", "%s", g->iface_id);
    }
    put_line(s, "received",
             "%" PRId64 " packets, %" PRId64 " bytes, %" PRId64 " dropped",
             ctl_guest_counter(g, "rx_packets"),
             ctl_guest_counter(g, "rx_bytes"),
             ctl_guest_counter(g, "rx_dropped"));
    put_line(s, "sent",
             "%" PRId64 " packets, %" PRId64 " bytes, %" PRId64 " dropped",
             ctl_guest_counter(g, "tx_packets"),
             ctl_guest_counter(g, "tx_bytes"),
             ctl_guest_counter(g, "tx_dropped"));
}

/* Appends what each guest of 'snapshot' has counted to 's', a line each. */
void
ctl_format_totals(const struct ctl_snapshot *snapshot, struct ds *s)
{
    static const char *const headings[] = {
        "NAME",        "STATE",     ">RX-PACKETS", ">RX-BYTES", ">RX-DROP",
        ">TX-PACKETS", ">TX-BYTES", ">TX-DROP",    ">TX-FULL",  ">RX-BAD",
    };
    static const char *const counters[] = {
        "rx_packets", "rx_bytes",   "rx_dropped",   "tx_packets",
        "tx_bytes",   "tx_dropped", "tx_ring_full", "rx_bad_records",
    };
    struct ctl_table table;

    ctl_table_init(&table, headings, ARRAY_SIZE(headings));
    for (size_t i = 0; i < snapshot->n; i++) {
        const struct ctl_guest *g = &snapshot->guests[i];

        ctl_table_cell(&table, "%s", g->name);
        ctl_table_cell(&table, "%s", ctl_guest_state(g));
        for (size_t j = 0; j < ARRAY_SIZE(counters); j++) {
            ctl_table_cell(&table, "%" PRId64,
                           ctl_guest_counter(g, counters[j]));
        }
    }
    ctl_table_format(&table, true, s);
    ctl_table_destroy(&table);
}

/* Appends every counter of 'g' to 's', a line each. */
void
ctl_format_counters(const struct ctl_guest *g, struct ds *s)
{
    const struct shash_node **nodes = shash_sort(json_object(g->counters));
    size_t n = shash_count(json_object(g->counters));

    for (size_t i = 0; i < n; i++) {
        ds_put_format(s, "%-20s %" PRId64 "\n", nodes[i]->name,
                      ctl_guest_counter(g, nodes[i]->name));
    }
    free(nodes);
}
