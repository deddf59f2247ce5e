/* An io_uring that processes share after fork(): mapped in all, open under another number in one, closed in one. */
#include "uring.h"

#include <sys/resource.h>

static struct uring u;
static volatile int *word;

static void submitter(void *arg)
{
	u.fd = MUST(dup(u.fd));
	child_wait();
	uring_nop(&u, 55);
	test_post(word, 1);
}

static void onlooker(void *arg)
{
	close(u.fd);
	child_wait();
	test_await(word, 1);
	EXPECT_EQ(CQ_TAIL(&u), 6);
}

int main(void)
{
	pid_t children[2];

	const struct rlimit limit = { 1ul << 30, 1ul << 30 };

	test_start();
	MUST(setrlimit(RLIMIT_AS, &limit)); /* little room, which must not matter to how rings are mapped */
	word = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	EXPECT(uring_set_up(&u, 4, 0, 0));
	for (int i = 0; i < 5; i++)
		uring_nop(&u, i);
	uring_note(&u);
	children[0] = test_fork(submitter, NULL);
	children[1] = test_fork(onlooker, NULL);
	test_wait();
	uring_check(&u);
	for (int i = 0; i < 5; i++)
		uring_reap(&u, i, 0);
	test_end_child(children[0]);
	uring_reap(&u, 55, 0);
	test_end_child(children[1]);
	return test_pass();
}
