/*
 * A program in a memfd that is open for writing and mapped: the kernel executes it while only the description that
 * memfd_create(2) made is there, and not any more once it is opened for writing by its link in /proc.
 */
#include "zdtmlib.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int make_program(void)
{
	int fd = MUST(memfd_create("program", MFD_CLOEXEC)), from = MUST(open("/bin/true", O_RDONLY));
	struct stat st;

	MUST(fstat(from, &st));
	EXPECT_EQ(sendfile(fd, from, NULL, (size_t)st.st_size), st.st_size);
	close(from);
	MUST(fchmod(fd, 0700));
	return fd;
}

/* 0, or what execve(2) says. */
static int execute(int fd)
{
	char *args[] = { "program", NULL };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)fexecve(fd, args, args + 1);
		_exit(errno);
	}
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

int main(void)
{
	int program, opened, writer;
	char path[32], *mapped;

	test_start();
	program = make_program();
	opened = make_program();
	MUST(fcntl(program, F_SETFL, O_NONBLOCK));
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, program, 0);
	EXPECT(mapped != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", opened);
	writer = MUST(open(path, O_RDWR));
	EXPECT_EQ(execute(program), 0);
	EXPECT_EQ(execute(opened), ETXTBSY);
	test_wait();
	EXPECT_EQ(fcntl(program, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EXPECT_EQ(execute(program), 0);
	EXPECT_EQ(execute(opened), ETXTBSY);
	close(writer);
	EXPECT_EQ(execute(opened), 0);
	EXPECT_MEM(mapped, "\177ELF", 4);
	return test_pass();
}
