/* SPDX-License-Identifier: Apache-2.0 */

/* Shares a page between two unprivileged guests, without any driver of ours.
 *
 *   grants share DOMID     grants a page to DOMID, prints its reference, waits
 *                          until the peer has answered in it
 *   grants map DOMID REF   maps that page of DOMID, checks it, and answers
 *
 * Exits with 0 only if the page carried a word each way. */

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xengnttab.h>

#define QUESTION 0x646f6d73u
#define ANSWER 0x736d6f64u

/* How long 'share' waits for its peer, in seconds. */
#define PATIENCE 60

static int
fail(const char *what)
{
    fprintf(stderr, "grants: %s: %s\n", what, strerror(errno));
    return 1;
}

static int
share(uint32_t domid)
{
    xengntshr_handle *shr = xengntshr_open(NULL, 0);
    if (!shr) {
        return fail("cannot open /dev/xen/gntalloc");
    }

    uint32_t ref;
    _Atomic uint32_t *page = xengntshr_share_pages(shr, domid, 1, &ref, 1);
    if (!page) {
        return fail("cannot grant a page");
    }
    atomic_store(page, QUESTION);
    printf("ref=%u\n", ref);
    fflush(stdout);

    time_t end = time(NULL) + PATIENCE;
    while (atomic_load(page) != ANSWER && time(NULL) < end) {
        usleep(1000);
    }
    int error = atomic_load(page) != ANSWER;
    puts(error ? "answer=none" : "answer=ok");
    xengntshr_unshare(shr, (void *) page, 1);
    xengntshr_close(shr);
    return error;
}

static int
map(uint32_t domid, uint32_t ref)
{
    xengnttab_handle *tab = xengnttab_open(NULL, 0);
    if (!tab) {
        return fail("cannot open /dev/xen/gntdev");
    }

    _Atomic uint32_t *page = xengnttab_map_grant_ref(tab, domid, ref,
                                                     PROT_READ | PROT_WRITE);
    if (!page) {
        return fail("cannot map the page");
    }
    uint32_t word = atomic_load(page);
    if (word == QUESTION) {
        atomic_store(page, ANSWER);
    }
    printf("word=%#x\n", word);
    xengnttab_unmap(tab, (void *) page, 1);
    xengnttab_close(tab);
    return word != QUESTION;
}

int
main(int argc, char *argv[])
{
    if (argc == 3 && !strcmp(argv[1], "share")) {
        return share(strtoul(argv[2], NULL, 10));
    } else if (argc == 4 && !strcmp(argv[1], "map")) {
        return map(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    fputs("usage: grants share DOMID | grants map DOMID REF\n", stderr);
    return 2;
}
