/*
 * A program that holds something that leads out of its tree, and goes on with it when it is asked to: SIGUSR1 makes it
 * use what it holds and write the result to "result".
 *
 *	held copy			copies lines from its standard input to its standard output
 *	held device PATH FLAGS		has a device open
 *	held huge PAGES			has so many huge pages in a private mapping
 *	held tun NAME WHAT		has a TAP interface; what: "persistent", "filtered" or "plain"
 *
 * It says so by creating "ready".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *file, const char *text)
{
	int fd = open("saying", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0 || rename("saying", file) < 0)
		_exit(2);
}

static int fail(const char *what)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "FAIL %s: %s", what, strerror(errno));
	say("ready", text);
	return 1;
}

static void wait_for_user(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	say("ready", "READY");
	while (sigwait(&set, &sig) != 0)
		;
}

/* Begins to read when told, so that something can wait in the pipe until then. */
static int copy(void)
{
	char line[256];
	ssize_t n;

	wait_for_user();
	while ((n = read(0, line, sizeof(line))) > 0)
		if (write(1, line, (size_t)n) != n)
			return fail("write");
	return 0;
}

static int hold_device(const char *path, int flags)
{
	int fd = open(path, flags);
	struct stat st;
	char text[128];

	if (fd < 0)
		return fail(path);
	wait_for_user();
	if (fstat(fd, &st) < 0)
		return fail("fstat");
	(void)snprintf(text, sizeof(text), "%llx %lld %x", (unsigned long long)st.st_rdev,
		       (long long)lseek(fd, 0, SEEK_CUR), (unsigned int)fcntl(fd, F_GETFL));
	say("result", text);
	return 0;
}

static int hold_huge_pages(size_t pages)
{
	const size_t bytes = pages * (2ul << 20);
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (memory == MAP_FAILED)
		return fail("mmap of huge pages");
	memset(memory, 'h', bytes);
	wait_for_user();
	say("result", memory[0] == 'h' && memory[bytes - 1] == 'h' ? "same" : "different");
	return 0;
}

static int hold_interface(const char *name, const char *what)
{
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, 0xffff };
	struct sock_fprog filter = { 1, &all };
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return fail("make an interface");
	if (!strcmp(what, "persistent") && ioctl(fd, TUNSETPERSIST, 1) < 0)
		return fail("TUNSETPERSIST");
	if (!strcmp(what, "filtered") && ioctl(fd, TUNATTACHFILTER, &filter) < 0)
		return fail("TUNATTACHFILTER");
	wait_for_user();
	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return fail("TUNGETIFF");
	say("result", request.ifr_name);
	return 0;
}

int main(int argc, char **argv)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc == 2 && !strcmp(argv[1], "copy"))
		return copy();
	if (argc == 4 && !strcmp(argv[1], "device"))
		return hold_device(argv[2], (int)strtol(argv[3], NULL, 0));
	if (argc == 3 && !strcmp(argv[1], "huge"))
		return hold_huge_pages((size_t)atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "tun"))
		return hold_interface(argv[2], argv[3]);
	return fail("arguments");
}
