/*
 * /proc/keys: what no call tells of a key. It shows what its reader may see, which a key's owner may.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct proc_key {
	uint32_t uses;     /* links, credentials with it as a session keyring, and who looks at it just now */
	bool is_permanent; /* false: it expires, is expired or revoked */
};

/* One line, of the key with that number; false: it is none. */
bool proc_keys_parse(const char *line, uint32_t *ret_number, struct proc_key *ret);

/* False: the user, whose owner's rights are taken to look, may not see it, or there is none. */
bool proc_keys_find(uint32_t number, uint32_t uid, struct proc_key *ret);
