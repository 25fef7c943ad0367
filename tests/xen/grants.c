/* SPDX-License-Identifier: Apache-2.0 */

/* Shares a page between two unprivileged guests, without any driver of ours.
 *
 *   grants share DOMID     grants a page to DOMID, prints its reference, waits
 *                          until the peer has answered in it
 *   grants map DOMID REF   maps that page of DOMID, checks it, and answers
 *   grants steal DOMID N   tries to map each of the first N grants of DOMID,
 *                          for reading and for writing, and prints how many
 *                          it could
 *   grants peek PATH       tries to read PATH in xenstore, and prints the
 *                          value or the error
 *
 * 'share' and 'map' exit with 0 only if the page carried a word each way. */

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
#include <xenstore.h>
#include <xentoollog.h>

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

static int
steal(uint32_t domid, uint32_t n)
{
    /* Each refusal would be a line. */
    xentoollog_logger *quiet = (void *) xtl_createlogger_stdiostream(
        stderr, XTL_CRITICAL, 0);
    xengnttab_handle *tab = xengnttab_open(quiet, 0);
    uint32_t read = 0, written = 0;

    if (!tab) {
        return fail("cannot open /dev/xen/gntdev");
    }
    for (uint32_t ref = 0; ref < n; ref++) {
        for (int write = 0; write < 2; write++) {
            int prot = write ? PROT_READ | PROT_WRITE : PROT_READ;
            void *page = xengnttab_map_grant_ref(tab, domid, ref, prot);

            if (page) {
                *(write ? &written : &read) += 1;
                xengnttab_unmap(tab, page, 1);
            }
        }
    }
    printf("tried=%u read=%u written=%u\n", n, read, written);
    xengnttab_close(tab);
    return 0;
}

static int
peek(const char *path)
{
    struct xs_handle *xs = xs_open(0);
    char *value;

    if (!xs) {
        return fail("cannot connect to xenstore");
    }
    value = xs_read(xs, XBT_NULL, path, NULL);
    printf("%s%s\n",
           value ? "value=" : "error=", value ? value : strerror(errno));
    free(value);
    xs_close(xs);
    return 0;
}

int
main(int argc, char *argv[])
{
    if (argc == 3 && !strcmp(argv[1], "share")) {
        return share(strtoul(argv[2], NULL, 10));
    } else if (argc == 4 && !strcmp(argv[1], "map")) {
        return map(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    if (argc == 4 && !strcmp(argv[1], "steal")) {
        return steal(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    } else if (argc == 3 && !strcmp(argv[1], "peek")) {
        return peek(argv[2]);
    }
    fputs("usage: grants share DOMID | map DOMID REF | steal DOMID N | "
          "peek PATH\n",
          stderr);
    return 2;
}
