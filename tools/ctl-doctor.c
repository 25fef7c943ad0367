/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl-output.h"
#include "openvswitch/json.h"
#include "util.h"

/* The least memory, in MiB, that should be available. */
#define MEMORY_MIN_MIB 256

/* The longest name of a socket that a switch makes in its run directory, and
 * the longest path of a UNIX socket. */
#define LONGEST_SOCKET "/ovsdb-server.4194304.ctl"
#define SOCKET_PATH_MAX 107

/* The report. */

/* Adds a finding to 'report', which takes 'message' and 'remedy' (NULL if
 * there is nothing to do) over.  'check' is a string constant. */
void
ctl_report_add(struct ctl_report *report, enum ctl_grade grade,
               const char *check, char *message, char *remedy)
{
    if (report->n >= report->allocated) {
        report->findings = x2nrealloc(report->findings, &report->allocated,
                                      sizeof *report->findings);
    }
    report->findings[report->n++] = (struct ctl_finding){
        .grade = grade,
        .check = check,
        .message = message,
        .remedy = remedy,
    };
}

/* Returns the grade of the worst finding. */
enum ctl_grade
ctl_report_worst(const struct ctl_report *report)
{
    enum ctl_grade worst = CTL_FINE;

    for (size_t i = 0; i < report->n; i++) {
        worst = MAX(worst, report->findings[i].grade);
    }
    return worst;
}

static const char *
grade_name(enum ctl_grade grade)
{
    return grade == CTL_FINE ? "ok" : grade == CTL_WARN ? "warn" : "FAIL";
}

/* Prints the findings, a line each and one for its remedy, or as JSON. */
void
ctl_report_print(const struct ctl_report *report, bool json)
{
    struct json *array = json_array_create_empty();

    for (size_t i = 0; i < report->n; i++) {
        const struct ctl_finding *f = &report->findings[i];

        if (json) {
            struct json *object = json_object_create();

            json_object_put_string(object, "result", grade_name(f->grade));
            json_object_put_string(object, "check", f->check);
            json_object_put_string(object, "message", f->message);
            json_object_put_string(object, "remedy",
                                   f->remedy ? f->remedy : "");
            json_array_add(array, object);
            continue;
        }
        printf("%-4s  %-11s %s\n", grade_name(f->grade), f->check, f->message);
        if (f->remedy) {
            printf("%-4s  %-11s -> %s\n", "", "", f->remedy);
        }
    }
    if (json) {
        ctl_print_json(array, JSSF_PRETTY);
    } else {
        json_destroy(array);
    }
}

/* Frees what 'report' holds. */
void
ctl_report_destroy(struct ctl_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        free(report->findings[i].message);
        free(report->findings[i].remedy);
    }
    free(report->findings);
}

/* The machine. */

static void
check_root(struct ctl_report *report)
{
    if (geteuid()) {
        ctl_report_add(report, CTL_BROKEN, "root",
                       xstrdup("doms-ctl does not run as root, so it cannot "
                               "reach a switch"),
                       xstrdup("use sudo"));
    } else {
        ctl_report_add(report, CTL_FINE, "root", xstrdup("yes"), NULL);
    }
}

static void
check_tun(struct ctl_report *report)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        ctl_report_add(
            report, CTL_BROKEN, "tun",
            xasprintf("/dev/net/tun cannot be opened: %s",
                      ovs_strerror(errno)),
            xstrdup(errno == EACCES || errno == EPERM
                        ? "use sudo, or let this container have the "
                          "device"
                        : "'modprobe tun', or let this container have "
                          "the device"));
        return;
    }
    close(fd);
    ctl_report_add(report, CTL_FINE, "tun",
                   xstrdup("/dev/net/tun can be opened"), NULL);
}

static void
check_rundir(const struct ctl_options *options, struct ctl_report *report)
{
    const char *dir = options->rundir;
    struct stat st;

    if (strlen(dir) + strlen(LONGEST_SOCKET) > SOCKET_PATH_MAX) {
        ctl_report_add(report, CTL_BROKEN, "rundir",
                       xasprintf("%s is too long: a UNIX socket in it may "
                                 "exceed %d bytes",
                                 dir, SOCKET_PATH_MAX),
                       xasprintf("use a run directory of at most %" PRIuSIZE
                                 " bytes",
                                 SOCKET_PATH_MAX - strlen(LONGEST_SOCKET)));
    } else if (stat(dir, &st)) {
        ctl_report_add(report, CTL_BROKEN, "rundir",
                       xasprintf("%s: %s", dir, ovs_strerror(errno)),
                       xasprintf("'doms-local start --rundir %s', or name "
                                 "the switch's with --rundir or OVS_RUNDIR",
                                 dir));
    } else if (st.st_mode & S_IWOTH) {
        ctl_report_add(report, CTL_BROKEN, "rundir",
                       xasprintf("anybody may write in %s", dir),
                       xasprintf("'chmod o-w %s'", dir));
    } else {
        ctl_report_add(report, CTL_FINE, "rundir", xstrdup(dir), NULL);
    }
}

static bool
has_datapath_tap(void)
{
    FILE *stream = fopen("/proc/self/net/dev", "r");
    bool found = false;
    char line[512];

    while (stream && !found && fgets(line, sizeof line, stream)) {
        char *name = line + strspn(line, " ");

        found = !strncmp(name, "ovs-netdev:", strlen("ovs-netdev:"));
    }
    if (stream) {
        fclose(stream);
    }
    return found;
}

/* Returns whether the processes 'a' and 'b', whose pids are given as in /proc,
 * are in the same network namespace. */
static bool
same_namespace(const char *a, const char *b)
{
    char *path_a = xasprintf("/proc/%s/ns/net", a);
    char *path_b = xasprintf("/proc/%s/ns/net", b);
    struct stat st_a, st_b;
    bool same = !stat(path_a, &st_a) && !stat(path_b, &st_b)
                && st_a.st_ino == st_b.st_ino && st_a.st_dev == st_b.st_dev;

    free(path_a);
    free(path_b);
    return same;
}

/* Returns the pid of another switch daemon than 'ours' in the namespace of the
 * process 'where', or 0; stores its name in 'name'. */
static int
find_other_switch(int ours, const char *where, char name[16])
{
    DIR *proc = opendir("/proc");
    int found = 0;

    for (struct dirent *de; proc && !found && (de = readdir(proc));) {
        char *path;
        FILE *stream;

        if (!isdigit((unsigned char) de->d_name[0])
            || atoi(de->d_name) == ours) {
            continue;
        }
        path = xasprintf("/proc/%s/comm", de->d_name);
        stream = fopen(path, "r");
        free(path);
        if (stream) {
            if (fscanf(stream, "%15s", name) == 1
                && (!strcmp(name, "ovs-vswitchd") || !strcmp(name, "domsd"))
                && same_namespace(de->d_name, where)) {
                found = atoi(de->d_name);
            }
            fclose(stream);
        }
    }
    if (proc) {
        closedir(proc);
    }
    return found;
}

static void
check_namespace(const struct ctl_options *options, struct ctl_report *report)
{
    int pid = ctl_domsd_pid(options);
    char *where = pid ? xasprintf("%d", pid) : xstrdup("self");
    char name[16];
    int other = find_other_switch(pid, where, name);

    if (other) {
        ctl_report_add(report,
                       has_datapath_tap() && !pid ? CTL_BROKEN : CTL_WARN,
                       "namespace",
                       xasprintf("another switch, %s (pid %d), runs in the "
                                 "same network namespace, and only one can "
                                 "have a userspace datapath there",
                                 name, other),
                       xstrdup("start one of them in a namespace of its own, "
                               "with 'ip netns exec'"));
    } else if (!pid && has_datapath_tap()) {
        ctl_report_add(report, CTL_WARN, "namespace",
                       xstrdup("the device ovs-netdev is left of a switch "
                               "that was killed"),
                       xstrdup("start the switch, which takes it over, or "
                               "'ip tuntap del dev ovs-netdev mode tap'"));
    } else {
        ctl_report_add(
            report, CTL_FINE, "namespace",
            xstrdup(pid && !same_namespace("self", where)
                        ? "domsd is in a network namespace of its own"
                        : "no other userspace datapath"),
            NULL);
    }
    free(where);
}

static void
check_simd(struct ctl_report *report)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl")) {
        ctl_report_add(report, CTL_FINE, "avx512", xstrdup("present"), NULL);
        return;
    }
#endif
    ctl_report_add(report, CTL_WARN, "avx512",
                   xstrdup("absent: packets are classified by the slower "
                           "generic code"),
                   xstrdup("use a processor that has it, or, in a virtual "
                           "machine, let the host's features through"));
}

static void
check_memory(struct ctl_report *report)
{
    FILE *stream = fopen("/proc/meminfo", "r");
    long long int mib = -1;
    char line[128];
    int fd;

    while (stream && fgets(line, sizeof line, stream)) {
        long long int kib;

        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1) {
            mib = kib / 1024;
        }
    }
    if (stream) {
        fclose(stream);
    }
    if (mib >= 0 && mib < MEMORY_MIN_MIB) {
        ctl_report_add(report, CTL_WARN, "memory",
                       xasprintf("only %lld MiB are available", mib),
                       xstrdup("a guest takes about 1.1 MiB a queue pair by "
                               "default: free some memory, or attach with a "
                               "smaller arena="));
    } else {
        ctl_report_add(report, CTL_FINE, "memory",
                       xasprintf("%lld MiB are available", mib), NULL);
    }

    fd = memfd_create("doms-ctl-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, 4096)) {
        ctl_report_add(
            report, CTL_BROKEN, "memfd",
            xasprintf("shared memory cannot be made: %s", ovs_strerror(errno)),
            xstrdup("let this container have memfd_create(), and "
                    "see its memory limit"));
    } else {
        ctl_report_add(report, CTL_FINE, "memfd",
                       xstrdup("shared memory can be made and sealed"), NULL);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Adds to 'report' what can be said without a switch. */
void
ctl_check_machine(const struct ctl_options *options, struct ctl_report *report)
{
    check_root(report);
    check_tun(report);
    check_rundir(options, report);
    check_namespace(options, report);
    check_simd(report);
    check_memory(report);
}
