#include "kernel/proc-keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/types.h>

#include "base/cleanup.h"

static FILE *open_as(uint32_t uid)
{
	const int dumpable = prctl(PR_GET_DUMPABLE);
	const bool changes = uid != (uint32_t)setfsuid((uid_t)-1);
	const int own = changes ? setfsuid(uid) : 0;
	FILE *file = fopen("/proc/keys", "re");

	if (changes) {
		(void)setfsuid((uid_t)own);
		(void)prctl(PR_SET_DUMPABLE, dumpable == 1, 0, 0, 0);
	}
	return file;
}

bool proc_keys_parse(const char *line, uint32_t *ret_number, struct proc_key *ret)
{
	char lasting[16];

	if (sscanf(line, "%" SCNx32 " %*s %" SCNu32 " %15s", ret_number, &ret->uses, lasting) != 3)
		return false;
	ret->is_permanent = strcmp(lasting, "perm") == 0;
	return true;
}

bool proc_keys_find(uint32_t number, uint32_t uid, struct proc_key *ret)
{
	AUTO_FCLOSE FILE *file = open_as(uid);
	char line[512];
	uint32_t found;

	while (file && fgets(line, sizeof(line), file))
		if (proc_keys_parse(line, &found, ret) && found == number)
			return true;
	return false;
}
