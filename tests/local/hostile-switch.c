/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes domsd a hostile one: a switch that has been taken over, and that
 * looks for a guest's secret wherever it can.
 *
 * It is domsd with this file linked in, and nothing else differs, not even its
 * name.  For
 * "ovs-appctl -t domsd":
 *
 *     hostile/find INVERTED
 *
 * reads every address that the process has mapped, and every file that it has
 * open and could map, and tells as 'find-secret find' does.
 */
#include <config.h>

#include <stdlib.h>

#include "openvswitch/util.h"
#include "tests/local/memory-search.h"
#include "unixctl.h"
#include "util.h"

static void
find(struct unixctl_conn *conn, int argc OVS_UNUSED, const char *argv[],
     void *aux OVS_UNUSED)
{
    struct memory_search result;
    char *text = NULL;
    size_t size;
    struct secret s;
    FILE *places;
    int error;

    if (!secret_from_string(argv[1], &s)) {
        unixctl_command_reply_error(conn, "32 hexadecimal digits are wanted");
        return;
    }
    places = open_memstream(&text, &size);
    if (!places) {
        unixctl_command_reply_error(conn, "out of memory");
        return;
    }
    error = memory_search(0, &s, places, &result);
    memory_search_print(&result, places);
    fclose(places);
    if (error) {
        unixctl_command_reply_error(conn, ovs_strerror(error));
    } else {
        unixctl_command_reply(conn, text);
    }
    free(text);
}

static void __attribute__((constructor)) turn_hostile(void)
{
    unixctl_command_register("hostile/find", "INVERTED", 1, 1, find, NULL);
}
