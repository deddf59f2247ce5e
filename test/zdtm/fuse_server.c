/*
 * A FUSE server in the tree, with a file of its filesystem open beside it: nobody answers for that file while the tree
 * stands still. The dump is refused at once, and all goes on.
 */
#include "zdtmlib.h"

#include <linux/fuse.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FILE_BYTES 5

struct answer {
	struct fuse_out_header head;
	union {
		struct fuse_init_out init;
		struct fuse_attr_out attr;
		struct fuse_entry_out entry;
		struct fuse_open_out opened;
		char data[FILE_BYTES];
	};
};

static void fill_attr(struct fuse_attr *attr, uint64_t node)
{
	attr->ino = node;
	attr->mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	attr->size = node == FUSE_ROOT_ID ? 0 : FILE_BYTES;
	attr->nlink = 1;
}

/* The size of the answer, or -errno. */
static int answer_call(const struct fuse_in_header *call, struct answer *answer)
{
	switch (call->opcode) {
	case FUSE_INIT:
		answer->init.major = FUSE_KERNEL_VERSION;
		answer->init.minor = 31;
		answer->init.max_write = 4096;
		return sizeof(answer->init);
	case FUSE_GETATTR:
		fill_attr(&answer->attr.attr, call->nodeid);
		return sizeof(answer->attr);
	case FUSE_LOOKUP:
		answer->entry.nodeid = 2;
		fill_attr(&answer->entry.attr, 2);
		return sizeof(answer->entry);
	case FUSE_OPEN:
		return sizeof(answer->opened);
	case FUSE_READ:
		memcpy(answer->data, "fused", FILE_BYTES);
		return FILE_BYTES;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -ENOSYS;
	}
}

static void serve(int fd)
{
	static char call[1 << 16];
	const struct fuse_in_header *head = (const struct fuse_in_header *)call;

	for (;;) {
		struct answer answer = { 0 };
		int r;

		if (read(fd, call, sizeof(call)) < 0) {
			if (errno == ENODEV)
				_exit(0);
			continue;
		}
		if (head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET || head->opcode == FUSE_INTERRUPT)
			continue;
		r = answer_call(head, &answer);
		answer.head.unique = head->unique;
		answer.head.error = r < 0 ? r : 0;
		answer.head.len = (uint32_t)sizeof(answer.head) + (uint32_t)(r < 0 ? 0 : r);
		(void)!write(fd, &answer, answer.head.len);
	}
}

int main(void)
{
	char options[96], text[8];
	int device, file, status;
	pid_t pid;

	test_start();
	device = open("/dev/fuse", O_RDWR);
	if (device < 0)
		test_skip("/dev/fuse: %s", strerror(errno));
	MUST(mkdir("mounted", 0700));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("fused", "mounted", "fuse", 0, options) < 0)
		test_skip("mount: %s", strerror(errno));
	pid = MUST(fork());
	if (pid == 0)
		serve(device);
	file = MUST(open("mounted/file", O_RDONLY));
	test_wait();
	EXPECT_EQ(read(file, text, sizeof(text)), FILE_BYTES);
	EXPECT_MEM(text, "fused", FILE_BYTES);
	close(file);
	MUST(umount2("mounted", MNT_DETACH));
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	return test_pass();
}
