/*
 * A process that waits for its child of vfork, which executes a file that takes its time to be opened: on a FUSE whose
 * server is no part of the tree. Nothing stops the child meanwhile. The file cannot be opened in the end, and the child
 * ends. The server would be taken for what is left of the tree: test/cli runs this.
 */
#include "zdtmlib.h"

#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { CODE = 7, SLOW_MS = 2000, FILE_NODE = 2, BUFFER_BYTES = 1 << 20 };

struct reply {
	struct fuse_out_header header;
	union {
		struct fuse_init_out init;
		struct fuse_attr_out attr;
		struct fuse_entry_out entry;
	};
};

static void set_attr(struct fuse_attr *attr, uint64_t node)
{
	attr->ino = node;
	attr->mode = node == FILE_NODE ? S_IFREG | 0755 : S_IFDIR | 0755;
	attr->nlink = 1;
}

/* How many bytes follow the header, or -errno. */
static int answer(const struct fuse_in_header *request, struct reply *reply)
{
	switch (request->opcode) {
	case FUSE_INIT:
		reply->init = (struct fuse_init_out){ .major = 7, .minor = 31, .max_write = 65536 };
		return sizeof(reply->init);
	case FUSE_GETATTR:
		set_attr(&reply->attr.attr, request->nodeid);
		return sizeof(reply->attr);
	case FUSE_LOOKUP:
		reply->entry.nodeid = FILE_NODE;
		set_attr(&reply->entry.attr, FILE_NODE);
		return sizeof(reply->entry);
	case FUSE_OPEN:
		(void)usleep(SLOW_MS * 1000);
		return -EIO;
	default:
		return -ENOSYS;
	}
}

static void serve(int fd)
{
	const struct fuse_in_header *request = MUST(malloc(BUFFER_BYTES));

	while (read(fd, (void *)request, BUFFER_BYTES) > 0) {
		struct reply reply = { .header.unique = request->unique };
		int bytes;

		if (request->opcode == FUSE_INTERRUPT || request->opcode == FUSE_FORGET)
			continue;
		bytes = answer(request, &reply);
		reply.header.len = (uint32_t)(sizeof(reply.header) + (size_t)(bytes < 0 ? 0 : bytes));
		reply.header.error = bytes < 0 ? bytes : 0;
		(void)!write(fd, &reply, reply.header.len);
	}
	_exit(0);
}

/* An orphan: its parent is not of the tree. */
static void start_server(int fd)
{
	pid_t pid = MUST(fork());

	if (pid == 0) {
		if (MUST(fork()))
			_exit(0);
		MUST(setsid());
		serve(fd);
	}
	EXPECT_EQ(test_reap(pid), 0);
}

static void mount_slow(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[80];

	if (fd < 0)
		test_skip("/dev/fuse: %s", strerror(errno));
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	MUST(mkdir("slow", 0700));
	if (mount("slow", "slow", "fuse.slow", 0, options) < 0)
		test_skip("mount of a FUSE: %s", strerror(errno));
	start_server(fd);
	MUST(close(fd));
}

static void run_parent(void *unused)
{
	pid_t pid;

	(void)unused;
	child_ready();
	for (int i = 0; i < 2; i++) {
		pid = vfork();
		if (pid == 0) {
			(void)execl("slow/file", "file", NULL);
			_exit(errno == EIO ? CODE : 1);
		}
		EXPECT_EQ(test_reap(MUST(pid)), CODE << 8);
	}
}

int main(void)
{
	pid_t parent;

	test_start();
	mount_slow();
	parent = test_fork(run_parent, NULL);
	(void)usleep(200000);
	test_wait();
	EXPECT_EQ(test_reap(parent), 0);
	return test_pass();
}
