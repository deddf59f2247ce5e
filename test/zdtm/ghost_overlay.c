/*
 * Files of a lower layer of an overlay that were removed, or replaced, while they are open and mapped: stat(2) goes on
 * to tell of the link below, to which nothing above leads.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void put(const char *name, const char *text)
{
	int fd = MUST(open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600));

	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	MUST(close(fd));
}

static void expect_text(int fd, const char *text)
{
	char found[64] = "";

	EXPECT_EQ(pread(fd, found, sizeof(found), 0), strlen(text));
	EXPECT_STR(found, text);
}

int main(void)
{
	int removed, replaced, present;
	const char *map;

	test_start();
	MUST(mkdir("lower", 0700));
	MUST(mkdir("upper", 0700));
	MUST(mkdir("work", 0700));
	MUST(mkdir("merged", 0700));
	put("lower/removed", "removed");
	put("lower/replaced", "replaced");
	if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		test_skip("no overlayfs: %s", strerror(errno));
	removed = MUST(open("merged/removed", O_RDONLY));
	MUST(unlink("merged/removed"));
	replaced = MUST(open("merged/replaced", O_RDONLY));
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, removed, 0);
	EXPECT(map != MAP_FAILED);
	put("merged/new", "new");
	MUST(rename("merged/new", "merged/replaced"));
	present = MUST(open("merged/replaced", O_RDONLY));
	test_wait();
	expect_text(removed, "removed");
	expect_text(replaced, "replaced");
	EXPECT_MEM(map, "removed", 7);
	expect_text(present, "new");
	EXPECT_EQ(access("merged/removed", F_OK), -1);
	return test_pass();
}
