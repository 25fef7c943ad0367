/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a secret into a process' memory, and looks which processes can reach
 * it.
 *
 *     find-secret plant PID shared|private INVERTED
 *     find-secret find PID INVERTED
 *
 * INVERTED is the secret, 16 bytes as hexadecimal digits, each of them
 * inverted (memory-search.h).
 *
 * 'plant' writes the secret, as the process itself could, into a page of its
 * memory that is all zero: of the largest memory that it shares with others,
 * or of the largest that it does not.  Prints where.
 *
 * 'find' prints every place that has it and that the process has mapped or
 * could map, and a line that sums up, as memory_search_print() makes it.
 * Exits with 0 if it has looked, whatever it found.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/local/memory-search.h"

#define PAGE 4096

static void __attribute__((noreturn)) die(const char *what, int error)
{
    fprintf(stderr, "find-secret: %s: %s\n", what, strerror(error));
    exit(EXIT_FAILURE);
}

/* Finds the largest mapping of process 'pid' that it can write to and that is
 * shared or not. */
static struct mapping
find_largest(const char *pid, bool is_shared)
{
    struct mapping m, best = { 0 };
    char path[64], line[512];
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    maps = fopen(path, "re");
    if (!maps) {
        die(path, errno);
    }
    while (fgets(line, sizeof line, maps)) {
        if (mapping_from_line(line, &m) && m.access[1] == 'w'
            && (m.access[3] == 's') == is_shared && !m.inode == !is_shared
            && m.end - m.start > best.end - best.start) {
            best = m;
        }
    }
    fclose(maps);
    return best;
}

static void
plant(const char *pid, bool is_shared, const struct secret *s)
{
    struct mapping m = find_largest(pid, is_shared);
    static const uint8_t zeros[PAGE];
    uint8_t page[PAGE], secret[SECRET_SIZE];
    char path[64];
    int fd;

    for (int i = 0; i < SECRET_SIZE; i++) {
        secret[i] = ~s->inverted[i];
    }
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        die(path, errno);
    }
    /* From the middle on, since programs use their memory from the ends. */
    for (uint64_t at = (m.start + (m.end - m.start) / 2) & -(uint64_t) PAGE;
         at < m.end; at += PAGE) {
        if (pread(fd, page, PAGE, at) == PAGE && !memcmp(page, zeros, PAGE)
            && pwrite(fd, secret, SECRET_SIZE, at + 64) == SECRET_SIZE) {
            printf("planted at 0x%" PRIx64 " of %" PRIu64 " bytes of %s\n",
                   at + 64, m.end - m.start,
                   m.name[0] ? m.name : "anonymous memory");
            return;
        }
    }
    die("no page of zeros to put a secret into", ENOENT);
}

int
main(int argc, char *argv[])
{
    struct memory_search result;
    struct secret s;
    int error;

    if (argc < 4 || !secret_from_string(argv[argc - 1], &s)) {
        fprintf(stderr, "usage: find-secret plant PID shared|private INVERTED"
                        " | find PID INVERTED\n");
        return 2;
    }
    if (!strcmp(argv[1], "plant")) {
        plant(argv[2], !strcmp(argv[3], "shared"), &s);
        return EXIT_SUCCESS;
    }
    error = memory_search(atoi(argv[2]), &s, stdout, &result);
    if (error) {
        die(argv[2], error);
    }
    memory_search_print(&result, stdout);
    return EXIT_SUCCESS;
}
