/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guestfront/program/log.h"

static int
become(const char *user, const char *group)
{
    const struct passwd *pw = user ? getpwnam(user) : NULL;
    const struct group *gr = group ? getgrnam(group) : NULL;
    gid_t gid = gr ? gr->gr_gid : pw ? pw->pw_gid : getgid();

    if (user && !pw) {
        return log_error("--user: there is no user '%s'", user);
    }
    if (group && !gr) {
        return log_error("--group: there is no group '%s'", group);
    }
    if ((pw || gr)
        && ((geteuid() == 0 && setgroups(1, &gid))
            || setresgid(gid, gid, gid))) {
        return log_error("cannot become group %d: %s; start it as root, or "
                         "without --user and --group",
                         (int) gid, strerror(errno));
    }
    if (pw && setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid)) {
        return log_error("cannot become user '%s': %s; start it as root, or "
                         "without --user",
                         user, strerror(errno));
    }
    return 0;
}

int
sandbox_drop(const char *user, const char *group)
{
    struct __user_cap_header_struct header = {
        .version = _LINUX_CAPABILITY_VERSION_3,
    };
    struct __user_cap_data_struct none[2];

    if (unshare(CLONE_NEWNET) && errno != EPERM) {
        return log_error("cannot leave the network: %s", strerror(errno));
    }
    if (become(user, group)) {
        return -1;
    }
    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none)
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        return log_error("cannot give up privileges: %s", strerror(errno));
    }
#ifdef __SANITIZE_ADDRESS__
    /* The search for leaks looks at its own process from a child. */
    prctl(PR_SET_DUMPABLE, 1);
#endif
    return 0;
}

/* What the threads do: wait, ring, call, talk on sockets that exist or are of
 * this machine, map memory that they are sent, allocate, and end. */
static const int allowed[] = {
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(bind),
    SCMP_SYS(brk),
    SCMP_SYS(chmod),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(close),
    SCMP_SYS(connect),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(ftruncate),
    SCMP_SYS(futex),
    SCMP_SYS(get_mempolicy),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockopt),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(io_destroy),
    SCMP_SYS(io_getevents),
    SCMP_SYS(io_submit),
    SCMP_SYS(listen),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(tgkill),
    SCMP_SYS(umask),
    SCMP_SYS(unlink),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

static int
add_rules(scmp_filter_ctx filter)
{
    int error = 0;

    for (unsigned int i = 0; i < sizeof allowed / sizeof *allowed && !error;
         i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    /* No memory that could be run, and no socket but of this machine. */
    if (!error) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (!error) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (!error) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    }
    return error;
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's own calls are any. */
#define VIOLATION SCMP_ACT_LOG
#else
#define VIOLATION SCMP_ACT_KILL_PROCESS
#endif

int
sandbox_lock(void)
{
    scmp_filter_ctx filter = seccomp_init(VIOLATION);
    int error = filter ? 0 : -ENOMEM;

    /* syslog() has a use for the time zone, whose file cannot be read
     * later. */
    tzset();
    if (!error) {
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    }
    if (!error) {
        error = add_rules(filter);
    }
    if (!error) {
        error = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (error) {
        return log_error("no filter of system calls: %s; does the kernel have "
                         "seccomp?",
                         strerror(-error));
    }
    return 0;
}
