/*
 * Zombies that have lost their parents, in sessions of those: they wait for a subreaper that was never their parent.
 * The parents are zombies themselves, which somebody else has to wait for, or gone.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/prctl.h>

enum { FAMILIES = 3, CHILDREN = 10 };

static struct family {
	pid_t middle, children[CHILDREN];
} * families;

/* How it has ended; it stays to be waited for. */
static void look_at(pid_t pid, int code)
{
	siginfo_t info = { 0 };

	MUST(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(info.si_pid, pid);
	EXPECT_EQ(info.si_code, CLD_EXITED);
	EXPECT_EQ(info.si_status, code);
}

static _Noreturn void lead_session(struct family *family, int index)
{
	MUST(setsid());
	for (int i = 0; i < CHILDREN; i++) {
		const pid_t child = MUST(fork());

		if (!child)
			_exit(100 + index + i);
		family->children[i] = child;
	}
	_exit(index);
}

static void middle(void *arg)
{
	struct family *family = arg;
	const int index = (int)(family - families);
	const pid_t parent = MUST(fork());

	if (!parent)
		lead_session(family, index);
	look_at(parent, index);
	if (index % 3 == 2)
		EXPECT_EQ(test_reap(parent), index << 8);
	child_wait();
	if (index % 3 != 2) {
		look_at(parent, index);
		EXPECT_EQ(test_reap(parent), index << 8);
	}
}

int main(void)
{
	test_start();
	families = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; i < FAMILIES; i++) {
		families[i].middle = test_fork(middle, &families[i]);
		for (int k = 0; k < CHILDREN; k++)
			look_at(families[i].children[k], 100 + i + k);
	}
	test_wait();
	for (int i = 0; i < FAMILIES; i++)
		for (int k = 0; k < CHILDREN; k++) {
			look_at(families[i].children[k], 100 + i + k);
			EXPECT_EQ(test_reap(families[i].children[k]), (100 + i + k) << 8);
		}
	for (int i = 0; i < FAMILIES; i++)
		test_end_child(families[i].middle);
	return test_pass();
}
