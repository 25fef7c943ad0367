/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How doms-ctl shows things: tables, one guest at length, rates, and JSON.
 *
 * Text is for people and may change; JSON is for programs, and its members
 * only ever grow in number.  Rates are worked out from two snapshots.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef TOOLS_CTL_OUTPUT_H
#define TOOLS_CTL_OUTPUT_H 1

#include <stdbool.h>
#include <stdio.h>

#include "ctl-backend.h"
#include "openvswitch/compiler.h"

struct ds;
struct json;

/* A table, whose columns are as wide as their widest cells. */
struct ctl_table {
    const char *const *headings; /* One a column, a '>' first if its cells are
                                  * flush right.  Not owned. */
    size_t n_columns;            /* Number of 'headings'. */
    char **cells;                /* Row by row. */
    size_t n_cells;              /* Number of 'cells' in use. */
    size_t allocated;            /* Room in 'cells'. */
};

void ctl_table_init(struct ctl_table *, const char *const headings[],
                    size_t n_columns);
void ctl_table_destroy(struct ctl_table *);
void ctl_table_cell(struct ctl_table *, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);
void ctl_table_format(const struct ctl_table *, bool headings, struct ds *);

/* Bytes for a number by ctl_scaled(). */
#define CTL_SCALED_SIZE 16

const char *ctl_scaled(double value, char buf[CTL_SCALED_SIZE]);

/* How fast a guest's counters grow, a second. */
struct ctl_rates {
    double rx_packets; /* From the guest. */
    double rx_bits;
    double rx_drops;
    double tx_packets; /* To the guest. */
    double tx_bits;
    double tx_drops;
};

struct ctl_rates ctl_rates_between(const struct ctl_snapshot *before,
                                   const struct ctl_snapshot *now,
                                   const struct ctl_guest *guest);

void ctl_print_json(struct json *, int flags);
struct json *ctl_guest_to_json(const struct ctl_guest *);
struct json *ctl_rates_to_json(const struct ctl_guest *,
                               const struct ctl_rates *);

const char *ctl_guest_state(const struct ctl_guest *);
const char *ctl_xenbus_state(unsigned int state);
void ctl_format_list(const struct ctl_snapshot *, struct ds *);
void ctl_format_guest(const struct ctl_guest *, struct ds *);
void ctl_format_totals(const struct ctl_snapshot *, struct ds *);
void ctl_format_counters(const struct ctl_guest *, struct ds *);

#endif /* tools/ctl-output.h */
