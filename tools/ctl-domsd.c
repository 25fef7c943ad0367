/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jsonrpc.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "socket-util.h"
#include "stream.h"
#include "timeval.h"
#include "util.h"

/* Returns whether the process 'pid' lives.  A dead one that its parent has not
 * noticed yet has no command line any more. */
static bool
process_lives(int pid)
{
    char *path = xasprintf("/proc/%d/cmdline", pid);
    FILE *stream = fopen(path, "r");
    bool lives = stream && getc(stream) != EOF;

    free(path);
    if (stream) {
        fclose(stream);
    }
    return lives;
}

/* Returns the pid in the pid file of 'daemon', or 0 if there is none or its
 * process is gone. */
int
ctl_daemon_pid(const struct ctl_options *options, const char *daemon)
{
    char *path = xasprintf("%s/%s.pid", options->rundir, daemon);
    FILE *stream = fopen(path, "r");
    int pid = 0;

    free(path);
    if (stream) {
        if (fscanf(stream, "%d", &pid) != 1 || pid <= 0
            || !process_lives(pid)) {
            pid = 0;
        }
        fclose(stream);
    }
    return pid;
}

int
ctl_domsd_pid(const struct ctl_options *options)
{
    return ctl_daemon_pid(options, "domsd");
}

/* Sends the request 'command' on 'rpc' and receives the reply to it into
 * '*reply'.  Returns 0 or a positive errno value, ETIMEDOUT at the
 * deadline. */
static int
transact(struct jsonrpc *rpc, const char *command,
         const struct ctl_deadline *deadline, struct jsonrpc_msg **reply)
{
    struct json *id;
    int error = jsonrpc_send(
        rpc, jsonrpc_create_request(command, json_array_create_empty(), &id));

    while (!error) {
        jsonrpc_run(rpc);
        error = jsonrpc_recv(rpc, reply);
        if (!error) {
            if ((*reply)->id && json_equal((*reply)->id, id)) {
                break;
            }
            jsonrpc_msg_destroy(*reply);
            continue;
        }
        if (error == EAGAIN) {
            error = time_msec() >= deadline->when ? ETIMEDOUT : 0;
            jsonrpc_wait(rpc);
            jsonrpc_recv_wait(rpc);
            poll_timer_wait_until(deadline->when);
            poll_block();
        }
    }
    json_destroy(id);
    return error;
}

/* Runs 'command' in 'daemon'; stores what it prints in '*reply', for the
 * caller to free. */
enum ctl_status
ctl_daemon_call(const struct ctl_options *options, const char *daemon,
                const char *command, char **reply, char **why)
{
    struct ctl_deadline deadline = ctl_deadline_start(options, 0);
    enum ctl_status status = CTL_OK;
    struct jsonrpc_msg *msg = NULL;
    int pid = ctl_daemon_pid(options, daemon);
    struct stream *stream;
    struct jsonrpc *rpc;
    char *path;
    int error;

    *reply = NULL;
    if (!pid) {
        *why = xasprintf("%s does not run in %s; start it, or name its run "
                         "directory with --rundir",
                         daemon, options->rundir);
        return CTL_UNREACHABLE;
    }
    path = xasprintf("unix:%s/%s.%d.ctl", options->rundir, daemon, pid);
    error = stream_open_block(stream_open(path, &stream, DSCP_DEFAULT),
                              options->timeout_ms, &stream);
    if (error) {
        *why = xasprintf("%s (pid %d) cannot be reached on %s: %s", daemon,
                         pid, path + strlen("unix:"),
                         ovs_retval_to_string(error));
        free(path);
        return CTL_UNREACHABLE;
    }
    free(path);

    rpc = jsonrpc_open(stream);
    error = transact(rpc, command, &deadline, &msg);
    if (error) {
        *why = xasprintf("%s (pid %d) does not answer: %s; see its log in "
                         "%s",
                         daemon, pid, ovs_retval_to_string(error),
                         options->rundir);
        status = CTL_UNREACHABLE;
    } else if (msg->result && msg->result->type == JSON_STRING) {
        *reply = xstrdup(json_string(msg->result));
    } else {
        *why = xasprintf("%s cannot do '%s': %s", daemon, command,
                         msg->error && msg->error->type == JSON_STRING
                             ? json_string(msg->error)
                             : "no reason given");
        status = CTL_FAILED;
    }
    jsonrpc_msg_destroy(msg);
    jsonrpc_close(rpc);
    return status;
}

/* The same with domsd. */
enum ctl_status
ctl_domsd_call(const struct ctl_options *options, const char *command,
               char **reply, char **why)
{
    return ctl_daemon_call(options, "domsd", command, reply, why);
}
