/*
 * A mapping longer than its file (a fault beyond the end), an executable one, one of a file opened read-only, one whose
 * name is what /proc makes of a newline.
 */
#include "zdtmlib.h"

#include <setjmp.h>
#include <sys/mman.h>

static sigjmp_buf back;

static void on_bus(int signo)
{
	siglongjmp(back, signo);
}

int main(void)
{
	static const unsigned char code[] = { 0xb8, 0x2a, 0x00, 0x00, 0x00, 0xc3 }; /* mov $42, %eax; ret */
	struct sigaction action = { .sa_handler = on_bus };
	int fd, signo, (*call)(void);
	char *base, *text, *odd;

	test_start();
	MUST(sigaction(SIGBUS, &action, NULL));
	fd = MUST(open("short", O_RDWR | O_CREAT, 0755));
	EXPECT_EQ(write(fd, code, sizeof(code)), sizeof(code));
	base = MUST(mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	fd = MUST(open("short", O_RDONLY));
	text = MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	close(fd);
	fd = MUST(open("odd\\012name", O_RDWR | O_CREAT, 0600));
	EXPECT_EQ(write(fd, "content", 7), 7);
	odd = MUST(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
	close(fd);
	test_wait();
	EXPECT_MEM(odd, "content", 7);
	EXPECT_MEM(base, code, sizeof(code));
	signo = sigsetjmp(back, 1);
	if (!signo) {
		base[8192] = 1;
		FAIL("no fault beyond the end of the file");
	}
	EXPECT_EQ(signo, SIGBUS);
	memcpy(&call, &text, sizeof(call));
	EXPECT_EQ(call(), 42);
	EXPECT_EQ(mprotect(text, 4096, PROT_READ | PROT_WRITE), 0);
	return test_pass();
}
