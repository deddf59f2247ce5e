/* Every signal's disposition: default, ignored, handler with each flag, mask and restorer, as the kernel hands it out.
 */
#include "zdtmlib.h"

struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

static volatile int last;

static void handler_a(int signo)
{
	last = signo;
}

static void handler_b(int signo, siginfo_t *info, void *context)
{
	(void)context;
	last = -info->si_signo - signo + signo;
}

static struct kernel_sigaction get(int signo)
{
	struct kernel_sigaction action = { 0 };

	MUST(syscall(SYS_rt_sigaction, signo, NULL, &action, 8));
	return action;
}

int main(void)
{
	static const int flags[] = { 0,          SA_RESTART,   SA_NODEFER,   SA_RESETHAND,
				     SA_ONSTACK, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART | SA_NODEFER | SA_ONSTACK };
	struct kernel_sigaction before[65];

	test_start();
	for (int signo = 1; signo < 65; signo++) {
		struct sigaction action = { 0 };

		if (signo == SIGKILL || signo == SIGSTOP || signo == SIGTERM || signo == 32 || signo == 33)
			continue;
		action.sa_flags = flags[signo % 8];
		sigemptyset(&action.sa_mask);
		for (int i = 1; i < 65; i += 1 + signo % 7)
			sigaddset(&action.sa_mask, i);
		if (signo % 4 == 0) {
			action.sa_handler = SIG_IGN;
		} else if (signo % 4 == 1) {
			action.sa_handler = handler_a;
		} else if (signo % 4 == 2) {
			action.sa_sigaction = handler_b;
			action.sa_flags |= SA_SIGINFO;
		}
		MUST(sigaction(signo, &action, NULL));
	}
	for (int signo = 1; signo < 65; signo++)
		before[signo] = get(signo);
	test_wait();
	for (int signo = 1; signo < 65; signo++) {
		struct kernel_sigaction now = get(signo);

		if (memcmp(&now, &before[signo], sizeof(now)) != 0)
			FAIL("signal %d: expected handler %p flags %#lx restorer %p mask %#llx, found %p %#lx %p %#llx",
			     signo, before[signo].handler, before[signo].flags, before[signo].restorer,
			     (unsigned long long)before[signo].mask, now.handler, now.flags, now.restorer,
			     (unsigned long long)now.mask);
	}
	MUST(raise(SIGRTMIN + 3)); /* 37: handler_a */
	EXPECT_EQ(last, 37);
	MUST(raise(SIGRTMIN + 4)); /* 38: handler_b */
	EXPECT_EQ(last, -38);
	return test_pass();
}
