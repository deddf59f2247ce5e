#include "arch/x86/debug-registers.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "arch/x86/regs.h"

#define CONTROL          (DEBUG_REGISTER_COUNT - 1)
#define CONTROL_REGISTER 7
#define CONTROL_ENABLED  0xfful
#define CONTROL_REGULAR  0xffff03fful /* enabled locally or globally, exactly; length and kind of each */

static size_t offset_of(size_t i)
{
	return offsetof(struct user, u_debugreg) +
	       (i == CONTROL ? CONTROL_REGISTER : i) * sizeof(((struct user *)0)->u_debugreg[0]);
}

static int read_one(pid_t tid, size_t i, uint64_t *ret)
{
	errno = 0;
	*ret = (uint64_t)ptrace(PTRACE_PEEKUSER, tid, offset_of(i), NULL);
	return -errno;
}

int debug_registers_read(pid_t tid, uint64_t ret[DEBUG_REGISTER_COUNT], bool *ret_in_use)
{
	int r = read_one(tid, CONTROL, &ret[CONTROL]);

	*ret_in_use = r == 0 && ret[CONTROL] & CONTROL_ENABLED;
	for (size_t i = 0; *ret_in_use && r == 0 && i < CONTROL; i++)
		r = read_one(tid, i, &ret[i]);
	return r;
}

/* The control word last: it arms what the addresses say. */
int debug_registers_write(pid_t tid, const uint64_t values[DEBUG_REGISTER_COUNT])
{
	for (size_t i = 0; i < DEBUG_REGISTER_COUNT; i++)
		if (values[i] && ptrace(PTRACE_POKEUSER, tid, offset_of(i), values[i]) < 0)
			return -errno;
	return 0;
}

int debug_registers_check(const uint64_t *values, size_t count, struct error *err)
{
	if (count != DEBUG_REGISTER_COUNT)
		return error_say(err, -EINVAL, "%zu debug registers", count);
	for (size_t i = 0; i < CONTROL; i++)
		if (!is_user_address(values[i]))
			return error_say(err, -EINVAL, "debug register %zu is 0x%llx, outside of user space", i,
					 (unsigned long long)values[i]);
	if (values[CONTROL] & ~CONTROL_REGULAR)
		return error_say(err, -EINVAL, "the debug control register is 0x%llx, with reserved bits",
				 (unsigned long long)values[CONTROL]);
	return 0;
}
