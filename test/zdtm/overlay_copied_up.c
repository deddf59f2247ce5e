/*
 * Files of a lower layer of an overlay that are mapped and then copied to the upper one: private mappings go on to show
 * what was there, written pages among them; what was copied without a change is the same. "shared" and "longer": what
 * cannot be kept.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define BYTES (5 * 4096)

static void fill(const char *name, uint32_t seed)
{
	static unsigned char data[BYTES];
	int fd = MUST(open(name, O_WRONLY | O_CREAT, 0700));

	test_pattern(data, sizeof(data), seed);
	EXPECT_EQ(write(fd, data, sizeof(data)), sizeof(data));
	MUST(close(fd));
}

static char *map(const char *name, int protection, int flags)
{
	int fd = MUST(open(name, O_RDONLY));
	char *memory = mmap(NULL, BYTES, protection, flags, fd, 0);

	EXPECT(memory != MAP_FAILED);
	close(fd);
	return memory;
}

int main(int argc, char **argv)
{
	char *read_only, *written, *program, *unchanged, *part;
	const char *what = argc > 1 ? argv[1] : "";
	int descriptor;

	test_start();
	MUST(mkdir("lower", 0700));
	MUST(mkdir("upper", 0700));
	MUST(mkdir("work", 0700));
	MUST(mkdir("merged", 0700));
	fill("lower/changed", 1);
	fill("lower/unchanged", 2);
	if (mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0)
		test_skip("no overlayfs: %s", strerror(errno));
	descriptor = MUST(open("merged/changed", O_RDONLY));
	read_only = map("merged/changed", PROT_READ, strcmp(what, "shared") == 0 ? MAP_SHARED : MAP_PRIVATE);
	written = map("merged/changed", PROT_READ | PROT_WRITE, MAP_PRIVATE);
	program = map("merged/changed", PROT_READ | PROT_EXEC, MAP_PRIVATE);
	part = map("merged/changed", PROT_NONE, MAP_PRIVATE);
	unchanged = map("merged/unchanged", PROT_READ, MAP_SHARED);
	memset(written + 4096, 'w', 4096);
	fill("merged/changed", 3);
	if (strcmp(what, "longer") == 0)
		MUST(truncate("merged/changed", 3 * 4096));
	MUST(chmod("merged/unchanged", 0600));
	test_wait();
	EXPECT_PATTERN(read_only, BYTES, 1);
	EXPECT_PATTERN(program, BYTES, 1);
	EXPECT_PATTERN(written, 4096, 1);
	EXPECT_EQ(written[4096], 'w');
	EXPECT_MEM(written + 2 * 4096, read_only + 2 * 4096, 3 * 4096);
	MUST(mprotect(part, BYTES, PROT_READ));
	EXPECT_MEM(part, read_only, BYTES);
	EXPECT_PATTERN(unchanged, BYTES, 2);
	EXPECT_EQ(pread(descriptor, written, 4096, 0), 4096);
	if (!*what)
		EXPECT_PATTERN(written, 4096, 3);
	return test_pass();
}
