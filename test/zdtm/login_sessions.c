/*
 * Login uids, and who is in one login session: those that have inherited it of one who has set it, also of one who has
 * set the same uid once more. With an argument so many are in one session that what is known of all at once is known of
 * them.
 */
#include "zdtmlib.h"

#include <sys/mman.h>

enum { MOST = 64, UNSET = -1 };

struct node {
	int login; /* UNSET: it sets none */
	struct node *children;
	int count;
	bool ends; /* and is a zombie */
	int index;
};

struct seen {
	long uid, session;
};

static struct seen *before, *after;
static int node_count;

static struct seen look(pid_t pid)
{
	struct seen seen;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/loginuid", pid);
	seen.uid = strtol(test_slurp(path), NULL, 10);
	(void)snprintf(path, sizeof(path), "/proc/%d/sessionid", pid);
	seen.session = strtol(test_slurp(path), NULL, 10);
	return seen;
}

static void set_login(int uid)
{
	int fd = open("/proc/self/loginuid", O_WRONLY);

	if (fd < 0 || dprintf(fd, "%d", uid) < 0)
		test_skip("the login uid cannot be set: %s", strerror(errno));
	close(fd);
}

static void live(void *arg)
{
	struct node *node = arg;
	pid_t pids[MOST];
	siginfo_t info;

	if (node->login != UNSET)
		set_login(node->login);
	before[node->index] = look(getpid());
	if (node->ends)
		_exit(0);
	for (int i = 0; i < node->count; i++) {
		pids[i] = test_fork(live, &node->children[i]);
		if (node->children[i].ends)
			MUST(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT));
	}
	if (node->index)
		child_wait();
	else
		test_wait();
	after[node->index] = look(getpid());
	for (int i = 0; i < node->count; i++) {
		if (node->children[i].ends) {
			after[node->children[i].index] = look(pids[i]);
			EXPECT_EQ(test_reap(pids[i]), 0);
		} else {
			test_end_child(pids[i]);
		}
	}
}

static void number(struct node *node)
{
	node->index = node_count++;
	EXPECT(node_count < MOST);
	for (int i = 0; i < node->count; i++)
		number(&node->children[i]);
}

#define CHILDREN(nodes) .children = nodes, .count = sizeof(nodes) / sizeof(nodes[0])

int main(int argc, char **argv)
{
	static struct node many[20], heirs[3], other[2];
	for (int i = 0; i < 20; i++)
		many[i] = (struct node){ .login = UNSET };
	heirs[0] = heirs[1] = heirs[2] = other[1] = (struct node){ .login = UNSET };
	heirs[2].ends = true;
	other[0] = (struct node){ .login = 3000, .ends = true };

	struct node deep[] = { { .login = UNSET, CHILDREN(heirs) } };
	struct node again[] = { { .login = 1000, .children = heirs, .count = 0 } };
	struct node first[] = { { .login = UNSET, CHILDREN(deep) }, { .login = UNSET, .ends = true },
				{ .login = 1000, .ends = true },    { .login = 2000, CHILDREN(other) },
				{ .login = 1000, CHILDREN(again) }, { .login = UNSET } };
	struct node alone[] = { { .login = UNSET } };
	struct node top[] = { { .login = 1000, CHILDREN(first) },
			      { .login = 1000, CHILDREN(alone) },
			      { .login = UNSET, .children = many, .count = argc > 1 ? 20 : 1 } };
	struct node root = { .login = UNSET, CHILDREN(top) };
	const size_t bytes = MOST * sizeof(struct seen);

	before = MUST(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	after = MUST(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	test_start();
	number(&root);
	live(&root);
	for (int i = 0; i < node_count; i++) {
		EXPECT_EQ(after[i].uid, before[i].uid);
		for (int k = 0; k < i; k++)
			if ((before[i].session == before[k].session) != (after[i].session == after[k].session))
				FAIL("%d and %d were in sessions %ld and %ld, and are in %ld and %ld", k, i,
				     before[k].session, before[i].session, after[k].session, after[i].session);
	}
	return test_pass();
}
