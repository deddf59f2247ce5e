/* /proc/PID/attr/current is the label; without a security module that has labels reading it fails with EINVAL. */
#include "security/lsm.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/cleanup.h"
#include "kernel/proc-pid.h"

#define LABEL_BYTES 256

static bool labels_exist;

static void probe_labels(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	char label[LABEL_BYTES];

	labels_exist = procfd >= 0 && proc_read_text(procfd, "attr/current", label, sizeof(label)) > 0;
}

static bool is_confined(const char *label)
{
	return *label && strncmp(label, "unconfined", strlen("unconfined")) != 0;
}

/* Without it the task would run with more rights than it had. */
int lsm_check(const char *label, const char *who, struct error *err)
{
	if (!label || !is_confined(label))
		return 0;
	return error_say(err, -EOPNOTSUPP, "%s: was confined by the security label %s, which cannot be restored yet",
			 who, label);
}

int lsm_check_sockets(const char *label, const char *who, struct error *err)
{
	if (!label || !*label)
		return 0;
	return error_say(err, -EOPNOTSUPP,
			 "%s: its sockets were to get the security label %s, which cannot be restored yet", who, label);
}

int lsm_look(struct task *task, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char label[LABEL_BYTES];
	ssize_t bytes;

	(void)pthread_once(&once, probe_labels);
	if (!labels_exist)
		return 0;
	bytes = proc_read_text(task->procfd, "attr/current", label, sizeof(label));
	if (bytes < 0)
		return error_set(err, (int)bytes, TASK_FORMAT ": read its security label", TASK_ARGS(task));
	label[strcspn(label, "\n")] = '\0';
	if (!is_confined(label))
		return 0;
	return error_say(err, -ENOTSUP,
			 TASK_FORMAT ": is confined by the security label %s, which is not supported yet",
			 TASK_ARGS(task), label);
}
