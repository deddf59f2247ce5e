/*
 * Loaded before the C library: a kernel with core scheduling, in which the thread COOKIE_OF has a cookie; one without,
 * where that is empty. A byte goes into the file ASKED for each question.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int operation, ...)
{
	const char *whose = getenv("COOKIE_OF"), *asked = getenv("ASKED");
	unsigned long args[4];
	va_list list;
	int fd;

	va_start(list, operation);
	for (int i = 0; i < 4; i++)
		args[i] = va_arg(list, unsigned long);
	va_end(list);
	if (operation != PR_SCHED_CORE || args[0] != PR_SCHED_CORE_GET)
		return (int)syscall(SYS_prctl, operation, args[0], args[1], args[2], args[3]);
	fd = asked ? open(asked, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || write(fd, "", 1) != 1)
		abort();
	close(fd);
	if (!whose || !*whose) {
		errno = EINVAL;
		return -1;
	}
	*(uint64_t *)args[3] = (pid_t)args[1] == atoi(whose);
	return 0;
}
