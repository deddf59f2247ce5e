/*
 * A FUSE server in the tree, with a file of its filesystem open beside it: nobody answers for that file while the tree
 * stands still. The dump is refused at once, and all goes on. Instead: its filesystem was mounted over where a "file"
 * is that is open, a "deleted" one, a "mapping" or a working "directory"; "nothing": nobody has anything there.
 */
#include "zdtmlib.h"

#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>
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

static int own = -1;

static void take(const char *what)
{
	char byte = 'x';

	if (!strcmp(what, "directory"))
		MUST(chdir("mounted/below"));
	if (!strcmp(what, "file") || !strcmp(what, "deleted") || !strcmp(what, "mapping")) {
		own = MUST(open("mounted/below/own", O_CREAT | O_RDWR, 0600));
		EXPECT_EQ(pwrite(own, &byte, 1, 0), 1);
	}
	if (!strcmp(what, "deleted"))
		MUST(unlink("mounted/below/own"));
	if (!strcmp(what, "mapping")) {
		MUST(mmap(NULL, 4096, PROT_READ, MAP_SHARED, own, 0));
		close(own);
		own = -1;
	}
}

static void check_file(int file)
{
	char text[8];

	EXPECT_EQ(read(file, text, sizeof(text)), FILE_BYTES);
	EXPECT_MEM(text, "fused", FILE_BYTES);
	close(file);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char options[96], place[4096], byte;
	int device, file = -1, status;
	pid_t pid;

	test_start();
	device = open("/dev/fuse", O_RDWR);
	if (device < 0)
		test_skip("/dev/fuse: %s", strerror(errno));
	MUST(mkdir("mounted", 0700));
	MUST(mkdir("mounted/below", 0700));
	EXPECT(realpath("mounted", place));
	take(what);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("fused", place, "fuse", 0, options) < 0)
		test_skip("mount: %s", strerror(errno));
	pid = MUST(fork());
	if (pid == 0)
		serve(device);
	if (!*what)
		file = MUST(open("mounted/file", O_RDONLY));
	test_wait();
	if (file >= 0)
		check_file(file);
	if (own >= 0)
		EXPECT_EQ(pread(own, &byte, 1, 0), 1);
	MUST(umount2(place, MNT_DETACH));
	close(device);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	return test_pass();
}
