/* Credentials of a thread: user and group ids, groups, capability sets, secure bits, no_new_privs. */
#include "pie/restorer-creds.h"

#include <linux/capability.h>
#include <linux/prctl.h>

#include "pie/restorer-report.h"

#define CAPABILITY_VERSION 0x20080522u
#define NO_SETUID_FIXUP    (1ul << 2)

static void set_capabilities(struct restorer_thread *thread, uint64_t inheritable, uint64_t permitted,
			     uint64_t effective)
{
	struct __user_cap_header_struct header = { CAPABILITY_VERSION, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};

	check_thread(thread, STEP_CAPABILITIES, SYS2(__NR_capset, &header, data), permitted);
}

static void set_ambient(struct restorer_thread *thread, uint64_t set)
{
	check_thread(thread, STEP_AMBIENT_SET, SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 0);
	for (uint32_t i = 0; i < 64; i++)
		if (set >> i & 1)
			check_thread(thread, STEP_AMBIENT_SET,
				     SYS5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0), i);
}

static void drop_bounding(struct restorer_thread *thread, uint64_t set)
{
	for (uint32_t i = 0; i < 64; i++)
		if (set >> i & 1)
			check_thread(thread, STEP_BOUNDING_SET, SYS2(__NR_prctl, PR_CAPBSET_DROP, i), i);
}

/* With this bit a change of ids leaves the capabilities alone. */
static void hold_capabilities(struct restorer_thread *thread)
{
	unsigned long bits = (unsigned long)SYS1(__NR_prctl, PR_GET_SECUREBITS);

	if (!(bits & NO_SETUID_FIXUP))
		check_thread(thread, STEP_SECUREBITS, SYS2(__NR_prctl, PR_SET_SECUREBITS, bits | NO_SETUID_FIXUP),
			     bits);
}

static void set_ids(struct restorer_thread *thread, const struct restorer_creds *creds)
{
	hold_capabilities(thread);
	check_thread(thread, STEP_GROUP_IDS, SYS3(__NR_setresgid, creds->gid, creds->egid, creds->sgid), creds->gid);
	(void)SYS1(__NR_setfsgid, creds->fsgid);
	if ((uint32_t)SYS1(__NR_setfsgid, -1) != creds->fsgid)
		check_thread(thread, STEP_GROUP_IDS, -ERROR_INVAL, creds->fsgid);
	check_thread(thread, STEP_USER_IDS, SYS3(__NR_setresuid, creds->uid, creds->euid, creds->suid), creds->uid);
	(void)SYS1(__NR_setfsuid, creds->fsuid);
	if ((uint32_t)SYS1(__NR_setfsuid, -1) != creds->fsuid)
		check_thread(thread, STEP_USER_IDS, -ERROR_INVAL, creds->fsuid);
}

/*
 * The order: inheritable capabilities cannot be added once the bounding set lacks them; ambient ones need to be
 * permitted and inheritable, and no secure bit against it; giving up rights comes last.
 */
void set_credentials(struct restorer_thread *thread)
{
	const struct restorer_creds *creds = &thread->creds;

	if (creds->needed & RESTORER_CREDS_CAPS)
		set_capabilities(thread, creds->cap_inh, creds->own_prm, creds->own_eff);
	if (creds->needed & RESTORER_CREDS_AMBIENT)
		set_ambient(thread, creds->cap_amb);
	if (creds->needed & RESTORER_CREDS_GROUPS)
		check_thread(thread, STEP_GROUPS, SYS2(__NR_setgroups, creds->group_count, creds->groups),
			     creds->group_count);
	if (creds->needed & RESTORER_CREDS_BOUNDING)
		drop_bounding(thread, creds->cap_drop);
	if (creds->needed & RESTORER_CREDS_IDS)
		set_ids(thread, creds);
	if (creds->needed & RESTORER_CREDS_SECUREBITS)
		check_thread(thread, STEP_SECUREBITS, SYS2(__NR_prctl, PR_SET_SECUREBITS, creds->securebits),
			     creds->securebits);
	if (creds->needed & RESTORER_CREDS_CAPS)
		set_capabilities(thread, creds->cap_inh, creds->cap_prm, creds->cap_eff);
	if (creds->needed & RESTORER_CREDS_NO_NEW_PRIVS)
		check_thread(thread, STEP_NO_NEW_PRIVS, SYS5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
}
