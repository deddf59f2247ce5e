#include "security/key-list.h"

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

bool key_list_find(uint32_t number, uint32_t uid, struct key_line *ret)
{
	AUTO_FCLOSE FILE *file = open_as(uid);
	char line[512], lasting[16];
	unsigned int found, uses;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%x %*s %u %15s", &found, &uses, lasting) == 3 && found == number) {
			*ret = (struct key_line){ .uses = uses, .is_permanent = strcmp(lasting, "perm") == 0 };
			return true;
		}
	return false;
}
