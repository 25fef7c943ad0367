/* SPDX-License-Identifier: Apache-2.0 */
#include "config/port-request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"

#define ARRAY_LEN(A) (sizeof(A) / sizeof(A)[0])

/* Letters of a word that can differ for it to be taken for a typing error. */
#define MAX_TYPOS 2

/* Parses 's', a plain decimal number of 'min' to 'max', into '*value'.
 * Returns 0, EINVAL if it is not a number, or ERANGE. */
int
port_request_parse_uint(const char *s, unsigned int min, unsigned int max,
                        unsigned int *value)
{
    uint64_t v = 0;

    if (!*s || strspn(s, "0123456789") != strlen(s)) {
        return EINVAL;
    }
    for (; *s; s++) {
        v = v * 10 + (*s - '0');
        if (v > max) {
            return ERANGE;
        }
    }
    *value = v;
    return v < min ? ERANGE : 0;
}

/* Returns the number of letters to change, add or leave out to make 'a' of
 * 'b'; at most 'limit' + 1.  Recursive, so only for short words. */
static unsigned int
edit_distance(const char *a, const char *b, unsigned int limit)
{
    unsigned int best, n;

    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (!*a && !*b) {
        return 0;
    }
    if (!limit) {
        return 1;
    }
    best = limit;
    if (*a && (n = edit_distance(a + 1, b, limit - 1)) < best) {
        best = n;
    }
    if (*b && (n = edit_distance(a, b + 1, limit - 1)) < best) {
        best = n;
    }
    if (*a && *b && (n = edit_distance(a + 1, b + 1, limit - 1)) < best) {
        best = n;
    }
    return best + 1;
}

/* Returns which of the 'n' 'candidates' the user may have meant by 'word', or
 * NULL if it resembles none. */
const char *
port_request_nearest(const char *word, const char *const candidates[],
                     size_t n)
{
    unsigned int best = MAX_TYPOS + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        const char *c = candidates[i];
        unsigned int d = edit_distance(word, c, MAX_TYPOS);

        /* Two changes make anything of a word of two letters. */
        if (d < best && d < strlen(c)) {
            best = d;
            nearest = c;
        }
        if (strlen(word) >= 2 && best > 1 && !strncmp(c, word, strlen(word))) {
            best = 1;
            nearest = c;
        }
    }
    return nearest;
}

/* The values of words.  Each function parses 'value' into 'r'; it returns
 * true, or false with the reason in 'why'. */

static bool
printable(const char *value, size_t size)
{
    if (strlen(value) >= size) {
        return false;
    }
    for (; *value; value++) {
        if (!isascii((unsigned char) *value)
            || !isgraph((unsigned char) *value)) {
            return false;
        }
    }
    return true;
}

static bool
parse_bridge(struct port_request *r, const char *value, char *why, size_t size)
{
    if (!printable(value, sizeof r->bridge)) {
        snprintf(why, size,
                 "not a bridge's name; 'ovs-vsctl list-br' lists "
                 "the bridges");
        return false;
    }
    strcpy(r->bridge, value);
    return true;
}

static bool
looks_like_mac(const char *value)
{
    for (int i = 0; i < 17; i++) {
        if (i % 3 == 2 ? value[i] != ':'
                       : !isxdigit((unsigned char) value[i])) {
            return false;
        }
    }
    return !value[17];
}

static bool
parse_mac(struct port_request *r, const char *value, char *why, size_t size)
{
    if (!looks_like_mac(value)) {
        snprintf(why, size,
                 "not an Ethernet address; write six pairs of hex "
                 "digits, as in 02:00:00:00:00:01");
        return false;
    }
    if (!doms_mac_from_string(value, r->mac)) {
        snprintf(why, size,
                 "%s; a guest's address has an even first byte and "
                 "is not zero, as in 02:00:00:00:00:01",
                 strcmp(value, "00:00:00:00:00:00")
                     ? "a group (multicast) address"
                     : "the zero address");
        return false;
    }
    r->has_mac = true;
    return true;
}

/* Parses 'value' as a number from 'min' to 'max' of 'unit'. */
static bool
parse_number(const char *value, unsigned int min, unsigned int max,
             const char *unit, unsigned int *number, char *why, size_t size)
{
    switch (port_request_parse_uint(value, min, max, number)) {
    case 0:
        return true;
    case ERANGE:
        snprintf(why, size, "out of range; give %u to %u%s", min, max, unit);
        return false;
    default:
        snprintf(why, size, "not a number; give %u to %u%s", min, max, unit);
        return false;
    }
}

static bool
parse_mtu(struct port_request *r, const char *value, char *why, size_t size)
{
    return parse_number(value, DOMS_MTU_MIN, DOMS_MTU_MAX, " bytes", &r->mtu,
                        why, size);
}

static bool
parse_queues(struct port_request *r, const char *value, char *why, size_t size)
{
    return parse_number(value, 1, DOMS_MAX_QUEUES, " queue pairs", &r->queues,
                        why, size);
}

static bool
parse_arena(struct port_request *r, const char *value, char *why, size_t size)
{
    size_t n = strspn(value, "0123456789");
    unsigned int v, unit = 1;
    char digits[12];

    if (n < strlen(value)) {
        unit = strchr("kK", value[n])   ? 1024
               : strchr("mM", value[n]) ? 1024 * 1024
                                        : 0;
        n = unit && !value[n + 1] ? n : 0;
    }
    snprintf(digits, sizeof digits, "%.*s", (int) n, value);
    if (!n || n >= sizeof digits
        || port_request_parse_uint(digits, 1, DOMS_ARENA_MAX / unit, &v)
        || !doms_ring_arena_size_is_valid(v * unit)) {
        snprintf(why, size,
                 "not a size that a ring's arena can have; give a "
                 "power of 2 from 128K to 4M bytes");
        return false;
    }
    r->arena = v * unit;
    return true;
}

static bool
parse_tag(struct port_request *r, const char *value, char *why, size_t size)
{
    unsigned int tag;

    if (!parse_number(value, 0, PORT_REQUEST_N_VLANS - 1, " (a VLAN)", &tag,
                      why, size)) {
        return false;
    }
    r->tag = tag;
    return true;
}

static void
add_trunk(struct port_request *r, unsigned int vlan)
{
    if (!port_request_has_trunk(r, vlan)) {
        r->trunks[vlan / 64] |= UINT64_C(1) << (vlan % 64);
        r->n_trunks++;
    }
}

static bool
parse_trunks(struct port_request *r, const char *value, char *why, size_t size)
{
    for (const char *p = value;; p++) {
        size_t n = strspn(p, "0123456789");
        unsigned int first, last;
        char number[8];

        snprintf(number, sizeof number, "%.*s", (int) n, p);
        if (n >= sizeof number
            || port_request_parse_uint(number, 0, PORT_REQUEST_N_VLANS - 1,
                                       &first)) {
            break;
        }
        last = first;
        p += n;
        if (*p == '-') {
            p++;
            n = strspn(p, "0123456789");
            snprintf(number, sizeof number, "%.*s", (int) n, p);
            if (n >= sizeof number
                || port_request_parse_uint(number, first,
                                           PORT_REQUEST_N_VLANS - 1, &last)) {
                break;
            }
            p += n;
        }
        for (unsigned int vlan = first; vlan <= last; vlan++) {
            add_trunk(r, vlan);
        }
        if (!*p) {
            return true;
        }
        if (*p != ',') {
            break;
        }
    }
    snprintf(why, size,
             "not a list of VLANs; give numbers from 0 to 4095 and "
             "ranges, as in 1,2,5-7");
    return false;
}

static bool
parse_rate(struct port_request *r, const char *value, char *why, size_t size)
{
    size_t n = strspn(value, "0123456789");
    uint64_t unit = 1, rate = 0;
    unsigned int v;
    char digits[12];

    if (n < strlen(value)) {
        const char *letter = strchr("kKmMgG", value[n]);

        unit = !letter                 ? 0
               : strchr("kK", *letter) ? 1000
               : strchr("mM", *letter) ? 1000000
                                       : 1000000000;
        n = unit && !value[n + 1] ? n : 0;
    }
    snprintf(digits, sizeof digits, "%.*s", (int) n, value);
    if (n && n < sizeof digits
        && !port_request_parse_uint(digits, 1, UINT32_MAX, &v)) {
        rate = v * unit;
    }
    if (rate < PORT_REQUEST_RATE_MIN || rate > PORT_REQUEST_RATE_MAX) {
        snprintf(why, size,
                 "not a rate; give 8k to 4000G bits per second as "
                 "a whole number with k, M or G, as in 100M");
        return false;
    }
    r->rate = rate;
    return true;
}

static bool
parse_iface_id(struct port_request *r, const char *value, char *why,
               size_t size)
{
    if (!printable(value, sizeof r->iface_id)) {
        snprintf(why, size,
                 "not fit for an id; give at most %d printable "
                 "ASCII characters",
                 PORT_REQUEST_IFACE_ID_SIZE - 1);
        return false;
    }
    strcpy(r->iface_id, value);
    return true;
}

static const struct word {
    const char *name;    /* What stands before '='. */
    const char *example; /* A value, for messages. */
    bool (*parse)(struct port_request *, const char *value, char *why,
                  size_t why_size);
} words_known[] = {
    { "bridge", "br0", parse_bridge },
    { "mac", "02:00:00:00:00:01", parse_mac },
    { "mtu", "1500", parse_mtu },
    { "queues", "2", parse_queues },
    { "arena", "512K", parse_arena },
    { "tag", "10", parse_tag },
    { "trunks", "1,2,5-7", parse_trunks },
    { "rate", "100M", parse_rate },
    { "iface-id", "vm1-eth0", parse_iface_id },
};

/* Returns whether 'vlan' is one of the request's trunked VLANs. */
bool
port_request_has_trunk(const struct port_request *r, unsigned int vlan)
{
    return (r->trunks[vlan / 64] >> (vlan % 64)) & 1;
}

/* Tells in 'why' that the first 'n' letters of 'word' are no word. */
static void
explain_unknown_word(const char *word, int n, char *why, size_t size)
{
    const char *names[ARRAY_LEN(words_known)];
    const char *nearest;
    char name[32];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        names[i] = words_known[i].name;
    }
    snprintf(name, sizeof name, "%.*s", n, word);
    nearest = port_request_nearest(name, names, ARRAY_LEN(names));
    if (nearest) {
        snprintf(why, size, "'%s' is not a word; did you mean '%s='?", name,
                 nearest);
        return;
    }
    snprintf(why, size,
             "'%s' is not a word; the words are bridge=, mac=, "
             "mtu=, queues=, arena=, tag=, trunks=, rate= and iface-id=",
             name);
}

/* Parses 'word' ("name=value") into 'r'.  '*seen' has a bit for each entry of
 * 'words_known' that came before. */
static bool
parse_word(struct port_request *r, const char *word, unsigned int *seen,
           char *why, size_t size)
{
    size_t n = strcspn(word, "=");
    char problem[PORT_REQUEST_WHY_SIZE / 2];
    const struct word *w;
    const char *value;

    for (w = words_known; w < &words_known[ARRAY_LEN(words_known)]; w++) {
        if (strlen(w->name) == n && !memcmp(w->name, word, n)) {
            break;
        }
    }
    if (w == &words_known[ARRAY_LEN(words_known)]) {
        explain_unknown_word(word, n, why, size);
        return false;
    }
    if (*seen & (1u << (w - words_known))) {
        snprintf(why, size, "%s: named twice; leave one out", w->name);
        return false;
    }
    *seen |= 1u << (w - words_known);
    if (!word[n] || !word[n + 1]) {
        snprintf(why, size, "%s: has no value; write it as in %s=%s", w->name,
                 w->name, w->example);
        return false;
    }
    value = &word[n + 1];
    if (!w->parse(r, value, problem, sizeof problem)) {
        snprintf(why, size, "%s: '%.100s' is %s", w->name, value, problem);
        return false;
    }
    return true;
}

/* Parses 'words', of which the first is the guest's name, into 'r'.
 *
 * Returns 0, or EINVAL with the reason in 'why' of 'why_size' bytes. */
int
port_request_parse(struct port_request *r, int n_words, char *const words[],
                   char *why, size_t why_size)
{
    unsigned int seen = 0;

    memset(r, 0, sizeof *r);
    r->tag = -1;
    if (n_words < 1) {
        snprintf(why, why_size, "name: is missing; name the guest");
        return EINVAL;
    }
    if (!doms_name_is_valid(words[0])) {
        snprintf(why, why_size,
                 "name: '%.100s' cannot name a guest; use 1 to "
                 "%d letters, digits, '_', '-' or '.', the first of them a "
                 "letter or a digit",
                 words[0], DOMS_NAME_SIZE - 1);
        return EINVAL;
    }
    strcpy(r->name, words[0]);
    for (int i = 1; i < n_words; i++) {
        if (!parse_word(r, words[i], &seen, why, why_size)) {
            return EINVAL;
        }
    }
    if (r->tag >= 0 && r->n_trunks) {
        snprintf(why, why_size,
                 "trunks: Open vSwitch would ignore them "
                 "beside 'tag'; leave one out");
        return EINVAL;
    }
    return 0;
}

/* The most words that a line can hold, with the name and one too many. */
#define MAX_LINE_WORDS ((int) ARRAY_LEN(words_known) + 2)

/* Parses 'line', which it overwrites, into 'r', unless it is empty but for a
 * comment; stores in '*empty' whether it is. */
static int
parse_line(char *line, struct port_request *r, bool *empty, char *why,
           size_t why_size)
{
    char *words[MAX_LINE_WORDS];
    char *save = NULL;
    int n = 0;

    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t\r\n", &save);
         word && n < MAX_LINE_WORDS; word = strtok_r(NULL, " \t\r\n", &save)) {
        words[n++] = word;
    }
    *empty = !n;
    return n ? port_request_parse(r, n, words, why, why_size) : 0;
}

/* Parses 'stream', the file 'file_name', in which each line asks for a guest
 * and '#' starts a comment.  Stores the '*n' requests in '*requests', which
 * the caller frees.
 *
 * Returns 0, or a positive errno value with the reason, the file's name and
 * the line in 'why' of 'why_size' bytes; '*requests' is then NULL. */
int
port_request_parse_file(FILE *stream, const char *file_name,
                        struct port_request **requests, size_t *n, char *why,
                        size_t why_size)
{
    char problem[PORT_REQUEST_WHY_SIZE - 100];
    struct port_request *list = NULL;
    size_t n_list = 0, allocated = 0;
    unsigned int line_number = 0;
    char *line = NULL;
    size_t line_size = 0;
    int error = 0;

    while (!error && getline(&line, &line_size, stream) >= 0) {
        bool empty;

        line_number++;
        if (n_list >= allocated) {
            struct port_request *bigger;

            allocated = allocated ? allocated * 2 : 16;
            bigger = realloc(list, allocated * sizeof *list);
            if (!bigger) {
                snprintf(problem, sizeof problem, "out of memory");
                error = ENOMEM;
                break;
            }
            list = bigger;
        }
        error = parse_line(line, &list[n_list], &empty, problem,
                           sizeof problem);
        if (!error && !empty) {
            list[n_list++].line = line_number;
        }
    }
    if (!error && ferror(stream)) {
        error = EIO;
        snprintf(problem, sizeof problem, "cannot be read");
    }
    free(line);
    if (error) {
        snprintf(why, why_size, "%.64s:%u: %s", file_name, line_number,
                 problem);
        free(list);
        list = NULL;
        n_list = 0;
    }
    *requests = list;
    *n = n_list;
    return error;
}
