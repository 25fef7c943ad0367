/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tests/local/memory-search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (UINT64_C(1) << 20)

/* A mapping without a file that is larger is a reservation of addresses, of
 * which hardly a page is there. */
#define RESERVATION (UINT64_C(1) << 36)

/* Sets '*s' from 's_', SECRET_SIZE bytes as hexadecimal digits.  Returns false
 * if they are not that. */
bool
secret_from_string(const char *s_, struct secret *s)
{
    if (strlen(s_) != 2 * SECRET_SIZE) {
        return false;
    }
    for (int i = 0; i < SECRET_SIZE; i++) {
        unsigned int byte;

        if (sscanf(s_ + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        s->inverted[i] = byte;
    }
    return true;
}

/* Sets '*m' from a line of /proc/PID/maps.  Returns false if it is none. */
bool
mapping_from_line(const char *line, struct mapping *m)
{
    m->name[0] = '\0';
    return sscanf(line,
                  "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %255[^\n]",
                  &m->start, &m->end, m->access, &m->inode, m->name)
           >= 4;
}

/* Returns true if 's' is what the bytes at 'p' are. */
static bool
is_secret(const uint8_t *p, const struct secret *s)
{
    for (int i = 0; i < SECRET_SIZE; i++) {
        if ((p[i] ^ s->inverted[i]) != 0xff) {
            return false;
        }
    }
    return true;
}

/* Looks for 's' in the 'n' bytes at 'p', which are those at 'place' of 'name',
 * and counts and tells where it is. */
static void
search_bytes(const uint8_t *p, size_t n, uint64_t place, const char *name,
             const struct secret *s, FILE *places, struct memory_search *r)
{
    const uint8_t *end = n < SECRET_SIZE ? p : p + n - SECRET_SIZE + 1;
    int first = s->inverted[0] ^ 0xff;

    for (const uint8_t *q = p; q < end; q++) {
        q = memchr(q, first, end - q);
        if (!q) {
            break;
        }
        if (is_secret(q, s)) {
            r->n_found++;
            fprintf(places, "found at 0x%" PRIx64 " of %s\n", place + (q - p),
                    *name ? name : "anonymous memory");
        }
    }
}

/* Looks for 's' from 'start' to 'end' of 'fd'.  Returns true if any of it
 * could be read. */
static bool
search_range(int fd, uint64_t start, uint64_t end, uint8_t *buf,
             const char *name, const struct secret *s, FILE *places,
             struct memory_search *r)
{
    bool was_read = false;

    while (start < end) {
        size_t n = end - start < CHUNK ? end - start : CHUNK;
        ssize_t got = pread(fd, buf, n, start);

        if (got <= 0) {
            /* A page that is not there does not hide the next ones. */
            start += getpagesize();
            continue;
        }
        was_read = true;
        search_bytes(buf, got, start, name, s, places, r);
        r->n_bytes += got;
        /* The secret may lie across two chunks. */
        start += (size_t) got == n && start + n < end ? n - SECRET_SIZE + 1
                                                      : (size_t) got;
    }
    return was_read;
}

/* Looks in all that process 'pid' has mapped, but not in 'buf'. */
static int
search_mappings(const char *pid, uint8_t *buf, const struct secret *s,
                FILE *places, struct memory_search *r)
{
    char path[64], line[512];
    struct mapping m;
    FILE *maps;
    int fd;

    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    maps = fopen(path, "re");
    if (!maps) {
        close(fd);
        return errno;
    }
    while (fgets(line, sizeof line, maps)) {
        if (!mapping_from_line(line, &m) || m.start == (uintptr_t) buf
            || m.start >> 63) {
            continue;
        }
        if (!m.inode && m.end - m.start > RESERVATION) {
            r->n_reserved++;
        } else {
            r->n_mappings += search_range(fd, m.start, m.end, buf, m.name, s,
                                          places, r);
        }
    }
    fclose(maps);
    close(fd);
    return 0;
}

/* Looks in all files that process 'pid' has open and that can be mapped.  Those
 * of this process are read as they are: to open and close one again would give
 * up the locks on it. */
static int
search_files(const char *pid, uint8_t *buf, const struct secret *s,
             FILE *places, struct memory_search *r)
{
    bool is_self = !strcmp(pid, "self");
    char path[300], name[256];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    dir = opendir(path);
    if (!dir) {
        return errno;
    }
    while ((entry = readdir(dir))) {
        struct stat st;
        ssize_t n;
        int fd;

        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
        if (stat(path, &st) || !S_ISREG(st.st_mode)) {
            continue;
        }
        n = readlink(path, name, sizeof name - 1);
        name[n > 0 ? n : 0] = '\0';
        fd = is_self ? atoi(entry->d_name) : open(path, O_RDONLY | O_CLOEXEC);
        /* /proc has files without a size, which nobody maps. */
        if (fd >= 0 && st.st_size) {
            r->n_files += search_range(fd, 0, st.st_size, buf, name, s, places,
                                       r);
        }
        if (fd >= 0 && !is_self) {
            close(fd);
        }
    }
    closedir(dir);
    return 0;
}

/* Looks for 's' in all that process 'pid' (0 for this one) can reach, tells on
 * 'places' where it is, and sets '*r'.  Returns 0 or an errno value. */
int
memory_search(pid_t pid, const struct secret *s, FILE *places,
              struct memory_search *r)
{
    char name[16] = "self";
    /* A mapping of its own, so that it can be told from what is looked at. */
    uint8_t *buf = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int error;

    memset(r, 0, sizeof *r);
    if (buf == MAP_FAILED) {
        return errno;
    }
    if (pid) {
        snprintf(name, sizeof name, "%d", (int) pid);
    }
    error = search_mappings(name, buf, s, places, r);
    if (!error) {
        error = search_files(name, buf, s, places, r);
    }
    munmap(buf, CHUNK);
    return error;
}

/* Prints a line that sums up 'r'. */
void
memory_search_print(const struct memory_search *r, FILE *file)
{
    fprintf(file,
            "found=%" PRIu64 " mappings=%" PRIu64 " files=%" PRIu64
            " reserved=%" PRIu64 " bytes=%" PRIu64 "\n",
            r->n_found, r->n_mappings, r->n_files, r->n_reserved, r->n_bytes);
}
