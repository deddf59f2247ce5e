/*
 * I/O ports opened by iopl(2): a thread that has given up all rights keeps them ("plain"), so does one that has
 * CAP_SYS_RAWIO ("root"), and one among "many"; another thread has none.
 */
#include "zdtmlib.h"

#include <setjmp.h>
#include <sys/io.h>

#define MANY 20
#define PORT 0x80 /* takes codes of the machine's self-test */

static sigjmp_buf fault;

static void on_fault(int signo)
{
	siglongjmp(fault, signo);
}

static bool may_read(void)
{
	if (sigsetjmp(fault, 1))
		return false;
	(void)inb(PORT);
	return true;
}

static void act(void)
{
	thread_wait();
}

static void act_alone(void)
{
	MUST(iopl(0));
	thread_wait();
	EXPECT(!may_read());
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "plain";
	pthread_t alone, others[MANY];
	const int count = strcmp(what, "many") ? 0 : MANY;

	test_start();
	MUST(signal(SIGSEGV, on_fault) == SIG_ERR ? -1 : 0);
	if (iopl(3) < 0)
		test_skip("no I/O ports for programs here: %s", strerror(errno));
	EXPECT(may_read());
	alone = test_thread(act_alone);
	for (int i = 0; i < count; i++)
		others[i] = test_thread(act);
	if (!strcmp(what, "plain"))
		MUST(setuid(1000));
	test_wait();
	EXPECT(may_read());
	test_end_thread(alone);
	for (int i = 0; i < count; i++)
		test_end_thread(others[i]);
	return test_pass();
}
