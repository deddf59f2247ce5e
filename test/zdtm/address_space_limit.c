/*
 * A process that cannot map any more, for its limit of address space (RLIMIT_AS), of data or of locked memory has no
 * room for what a dump puts into it: the limit is raised meanwhile, and is the old one afterwards, also that of another
 * user's process ("user"). Where the hard limit ("hard", "hard-data", "hard-locked") leaves no room either the hint
 * names it.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/resource.h>

enum { CAP_SYS_RESOURCE_BIT = 24, OTHER_ID = 12345 };

static rlim_t in_use(const char *key)
{
	return (rlim_t)test_field(test_slurp("/proc/self/status"), key, 10) * 1024;
}

static bool may_exceed(void)
{
	return test_field(test_slurp("/proc/self/status"), "CapEff", 16) >> CAP_SYS_RESOURCE_BIT & 1;
}

/* Not even root has more than its limit then. */
static void drop_ipc_lock(void)
{
	struct {
		uint32_t version;
		int pid;
	} header = { 0x20080522, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} data[2];

	MUST(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << 14);
	data[0].permitted &= ~(1u << 14);
	MUST(syscall(SYS_capset, &header, data));
}

static void set_and_check(const char *kind, void (*wait)(void))
{
	__rlimit_resource_t resource = RLIMIT_AS;
	struct rlimit limit, found;
	int error = ENOMEM;
	char *page;

	if (strcmp(kind, "data") == 0 || strcmp(kind, "hard-data") == 0) {
		resource = RLIMIT_DATA;
		limit.rlim_cur = in_use("VmData");
	} else if (strcmp(kind, "locked") == 0 || strcmp(kind, "hard-locked") == 0) {
		resource = RLIMIT_MEMLOCK;
		MUST(mlockall(MCL_CURRENT | MCL_FUTURE));
		limit.rlim_cur = in_use("VmLck");
		error = EAGAIN;
		drop_ipc_lock();
	} else {
		limit.rlim_cur = in_use("VmSize");
	}
	MUST(getrlimit(resource, &found));
	limit.rlim_max = found.rlim_max;
	if (limit.rlim_cur + (4 << 20) > limit.rlim_max)
		test_skip("the hard limit is low already");
	if (strncmp(kind, "hard", 4) == 0) {
		if (may_exceed())
			test_skip("with CAP_SYS_RESOURCE hard limits can be raised");
		limit.rlim_max = limit.rlim_cur;
	}
	MUST(setrlimit(resource, &limit));
	if (strcmp(kind, "user") == 0) {
		MUST(syscall(SYS_setresgid, OTHER_ID, OTHER_ID, OTHER_ID));
		MUST(syscall(SYS_setresuid, OTHER_ID, OTHER_ID, OTHER_ID));
	}
	wait();
	MUST(getrlimit(resource, &found));
	EXPECT_EQ(found.rlim_cur, limit.rlim_cur);
	EXPECT_EQ(found.rlim_max, limit.rlim_max);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page == MAP_FAILED);
	EXPECT_EQ(errno, error);
}

static void other_user(void *kind)
{
	set_and_check(kind, child_wait);
}

int main(int argc, char **argv)
{
	char *kind = argc > 1 ? argv[1] : "space";

	test_start();
	if (strcmp(kind, "user") == 0) {
		const pid_t pid = test_fork(other_user, kind);

		test_wait();
		test_end_child(pid);
	} else {
		set_and_check(kind, test_wait);
	}
	return test_pass();
}
