/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-dom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>

#include "util.h"

/* A null logger: what goes wrong is told by those who ask. */
static void
no_log(struct xentoollog_logger *logger OVS_UNUSED,
       xentoollog_level level OVS_UNUSED, int errnoval OVS_UNUSED,
       const char *context OVS_UNUSED, const char *format OVS_UNUSED,
       va_list args OVS_UNUSED)
{
}

static void
no_progress(struct xentoollog_logger *logger OVS_UNUSED,
            const char *context OVS_UNUSED, const char *doing_what OVS_UNUSED,
            int percent OVS_UNUSED, unsigned long done OVS_UNUSED,
            unsigned long total OVS_UNUSED)
{
}

static void
no_destroy(struct xentoollog_logger *logger OVS_UNUSED)
{
}

static struct xentoollog_logger silent = {
    .vmessage = no_log,
    .progress = no_progress,
    .destroy = no_destroy,
};

struct xen_dom {
    xc_interface *xc; /* libxenctrl's. */
};

struct xen_dom *
xen_dom_open(void)
{
    xc_interface *xc = xc_interface_open(&silent, &silent, 0);
    struct xen_dom *dom;

    if (!xc) {
        return NULL;
    }
    dom = xmalloc(sizeof *dom);
    dom->xc = xc;
    return dom;
}

void
xen_dom_close(struct xen_dom *dom)
{
    if (dom) {
        xc_interface_close(dom->xc);
        free(dom);
    }
}

enum xen_dom_life
xen_dom_life(struct xen_dom *dom, unsigned int domid)
{
    xc_dominfo_t info;

    /* It answers with the next domain if there is none of that number. */
    if (xc_domain_getinfo(dom->xc, domid, 1, &info) != 1
        || info.domid != domid) {
        return XEN_DOM_GONE;
    }
    return info.dying     ? XEN_DOM_DYING
           : info.crashed ? XEN_DOM_CRASHED
           : info.shutdown && info.shutdown_reason != SHUTDOWN_suspend
               ? XEN_DOM_SHUTDOWN
               : XEN_DOM_LIVES;
}

/* Finds the policy in the hypervisor's log, for one that is built in. */
static enum xen_policy
policy_from_log(xc_interface *xc)
{
    enum xen_policy policy = XEN_POLICY_OPEN;
    unsigned int n = 256 * 1024;
    char *text = xmalloc(n + 1);

    if (!xc_readconsolering(xc, text, &n, 0, 0, NULL)) {
        text[n] = '\0';
        if (strstr(text, "SILO mode")) {
            policy = XEN_POLICY_SILO;
        } else if (strstr(text, "Starting in enforcing mode")) {
            policy = XEN_POLICY_FLASK;
        }
    }
    free(text);
    return policy;
}

enum xen_policy
xen_dom_policy(void)
{
    struct xen_dom *dom = xen_dom_open();
    enum xen_policy policy = XEN_POLICY_UNKNOWN;
    xen_commandline_t line = "";

    if (dom && !xc_version(dom->xc, XENVER_commandline, line)) {
        const char *xsm = NULL;

        line[sizeof line - 1] = '\0';
        for (const char *p = line; (p = strstr(p, "xsm=")); p++) {
            xsm = p; /* The last one counts. */
        }
        policy = !xsm                            ? policy_from_log(dom->xc)
                 : !strncmp(xsm, "xsm=silo", 8)  ? XEN_POLICY_SILO
                 : !strncmp(xsm, "xsm=flask", 9) ? XEN_POLICY_FLASK
                                                 : XEN_POLICY_OPEN;
    }
    xen_dom_close(dom);
    return policy;
}
