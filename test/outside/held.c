/*
 * A program that holds something that leads out of its tree, and goes on with it when it is asked to: SIGUSR1 makes it
 * use what it holds and write the result to "result".
 *
 *	held copy			copies lines from its standard input to its standard output
 *	held device PATH FLAGS		has a device open
 *	held huge PAGES			has so many huge pages in a private mapping
 *	held tun NAME WHAT		has a TAP interface; what: "persistent", "filtered" or "plain"
 *	held probed			says in "where" how far into its file three places to probe lie: a function,
 *					one whose first instruction does nothing, and one in which it waits when it
 *					gets SIGUSR2
 *	held deleted COUNT		has so many deleted files open, each twice
 *
 * It says so by creating "ready".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
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

static int hold_deleted(int count)
{
	char path[32];

	for (int i = 0; i < count; i++) {
		int fd = open("deleted", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || unlink("deleted") < 0 || write(fd, "x", 1) != 1)
			return fail("make a file");
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (open(path, O_RDONLY | O_CLOEXEC) < 0)
			return fail("open a file again");
	}
	wait_for_user();
	say("result", "there");
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

static __attribute__((noinline)) int probed(int value)
{
	__asm__ volatile("" : "+r"(value));
	return 2 * value + 1;
}

/* What compilers leave for tracers: five bytes that newer kernels replace by a call. */
static __attribute__((noinline)) int probed_nop(int value)
{
	__asm__ volatile(".globl place_of_nop\nplace_of_nop: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00" : "+r"(value));
	return 3 * value;
}

static __attribute__((noinline)) int probed_return(int value)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	say("inside", "INSIDE");
	while (sigwait(&set, &sig) != 0)
		;
	return value + 1;
}

extern const char place_of_nop[];

static uint64_t offset_of(const void *place)
{
	uint64_t start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) == 3 && (uint64_t)place >= start &&
		    (uint64_t)place < end) {
			fclose(maps);
			return (uint64_t)place - start + offset;
		}
	return 0;
}

static int use_probed(void)
{
	char text[128];
	sigset_t set;
	int sig = 0, sum = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGHUP);
	(void)snprintf(text, sizeof(text), "%lu %lu %lu", offset_of((const void *)probed), offset_of(place_of_nop),
		       offset_of((const void *)probed_return));
	say("where", text);
	say("ready", "READY");
	for (;;) {
		while (sigwait(&set, &sig) != 0)
			;
		for (int i = 0; i < 3; i++)
			sum = probed(100) + probed_nop(10);
		if (sig == SIGUSR2)
			sum += probed_return(1000);
		(void)snprintf(text, sizeof(text), "%d", sum);
		say("result", text);
		if (sig == SIGUSR1)
			return 0;
	}
}

int main(int argc, char **argv)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc == 2 && !strcmp(argv[1], "copy"))
		return copy();
	if (argc == 4 && !strcmp(argv[1], "device"))
		return hold_device(argv[2], (int)strtol(argv[3], NULL, 0));
	if (argc == 3 && !strcmp(argv[1], "huge"))
		return hold_huge_pages((size_t)atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "deleted"))
		return hold_deleted(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "probed"))
		return use_probed();
	if (argc == 4 && !strcmp(argv[1], "tun"))
		return hold_interface(argv[2], argv[3]);
	return fail("arguments");
}
