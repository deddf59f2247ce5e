/*
 * 32-bit code, which is refused by name: a process that has been started from a 32-bit program, or with the argument
 * "jump" one of 64 bits that has gone into such code. Either waits in a system call of that mode and goes on.
 */
#include "zdtmlib.h"

#include <elf.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BASE       0x8048000u
#define USER_CS_32 0x23

/* pause(); exit(7) */
static const unsigned char code[] = { 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xbb, 7, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80 };

struct program {
	Elf32_Ehdr header;
	Elf32_Phdr segment;
	unsigned char code[sizeof(code)];
};

static void make_program(const char *path)
{
	struct program program = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_version = EV_CURRENT,
			.e_entry = BASE + offsetof(struct program, code),
			.e_phoff = offsetof(struct program, segment),
			.e_ehsize = sizeof(Elf32_Ehdr),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD,
			.p_vaddr = BASE,
			.p_filesz = sizeof(struct program),
			.p_memsz = sizeof(struct program),
			.p_flags = PF_R | PF_X,
			.p_align = 4096,
		},
	};
	int fd = MUST(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700));

	memcpy(program.code, code, sizeof(code));
	EXPECT_EQ(write(fd, &program, sizeof(program)), sizeof(program));
	close(fd);
}

static void jump(void)
{
	unsigned char *low =
	    MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));

	memcpy(low, code, sizeof(code));
	__asm__ volatile("movq %0, %%rsp\n\t"
			 "pushq %1\n\t"
			 "pushq %2\n\t"
			 "lretq"
			 :
			 : "r"(low + 8000), "i"(USER_CS_32), "r"((uint64_t)low)
			 : "memory");
}

/* Which system call it is in, as it is numbered there. */
static long call_of(pid_t pid)
{
	char path[64];
	const char *text;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	text = test_slurp(path);
	return text && *text >= '0' && *text <= '9' ? atol(text) : -1;
}

int main(int argc, char **argv)
{
	bool jumps = argc > 1 && strcmp(argv[1], "jump") == 0;
	struct sigaction action = { .sa_handler = SIG_DFL };
	pid_t pid;
	int status;

	test_start();
	if (!jumps)
		make_program("program");
	pid = MUST(fork());
	if (pid == 0) {
		MUST(sigaction(SIGUSR1, &action, NULL));
		if (jumps)
			jump();
		execl("./program", "program", NULL);
		_exit(errno == ENOEXEC ? 77 : 78);
	}
	for (int i = 0; i < 60000 && call_of(pid) != 29; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			test_skip("no 32-bit code here: wait status %#x", status);
		usleep(1000);
	}
	test_wait();
	for (int i = 0; i < 60000 && call_of(pid) != 29; i++) /* on its way back to sleep */
		usleep(1000);
	EXPECT_EQ(call_of(pid), 29);
	MUST(kill(pid, SIGUSR1));
	EXPECT_EQ(test_reap(pid), SIGUSR1);
	return test_pass();
}
