/*
 * Page maps that should be there. A living process has one. Whether shared memory that has never been written to has
 * one is up to who wrote the set: where one is absent, the pages may be lost with it. Then there is a pages file that
 * no map names.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "image/image-check-private.h"

struct pages_ids {
	uint32_t *items;
	size_t count, capacity;
};

static int add_ids(struct pages_ids *ids, const struct pagemap *map)
{
	int r = map ? array_reserve(&ids->items, &ids->capacity, ids->count, sizeof(*ids->items)) : 0;

	if (map && r == 0)
		ids->items[ids->count++] = map->pages_id;
	return r;
}

static int collect_ids(const struct checked_set *cs, struct pages_ids *ids)
{
	int r = 0;

	for (size_t i = 0; i < cs->task_count && r == 0; i++)
		r = add_ids(ids, cs->tasks[i].pagemap);
	for (size_t i = 0; i < cs->shmem_count && r == 0; i++)
		r = add_ids(ids, cs->shmems[i].pagemap);
	return r;
}

static uint64_t present_pages(const struct pagemap *map)
{
	return map ? map->present_pages : 0;
}

/* Each map tells what is in a file of its own, from the first page to the last. */
static int check_own_pages(const struct checked_set *cs, struct error *err)
{
	struct pages_ids ids = { 0 };
	bool is_shared = false;
	uint32_t id = 0;
	int r = 0;

	for (size_t i = 0; i < cs->task_count && r == 0; i++)
		if (present_pages(cs->tasks[i].pagemap))
			r = add_ids(&ids, cs->tasks[i].pagemap);
	for (size_t i = 0; i < cs->shmem_count && r == 0; i++)
		if (present_pages(cs->shmems[i].pagemap))
			r = add_ids(&ids, cs->shmems[i].pagemap);
	if (r == 0)
		is_shared = find_duplicate(ids.items, ids.count, &id);
	free(ids.items);
	if (r < 0)
		return error_set(err, r, "look for pages files");
	return is_shared ? error_say(err, -EBADMSG, "pages-%u.img is named by two page maps", id) : 0;
}

static bool is_named(const struct pages_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->items[i] == id)
			return true;
	return false;
}

/* "pages-N.img" */
static bool parse_name(const char *name, uint32_t *ret_id)
{
	static const char prefix[] = "pages-";
	char *end;

	if (strncmp(name, prefix, strlen(prefix)) != 0 || !isdigit((unsigned char)name[strlen(prefix)]))
		return false;
	*ret_id = (uint32_t)strtoul(name + strlen(prefix), &end, 10);
	return !strcmp(end, ".img");
}

static int find_unnamed(const struct checked_set *cs, const struct pages_ids *ids, uint32_t *ret_id)
{
	AUTO_CLOSEDIR DIR *dir = image_set_list(cs->set);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (parse_name(entry->d_name, ret_id) && !is_named(ids, *ret_id))
			return 1;
	return 0;
}

int check_lost_pages(const struct checked_set *cs, struct error *err)
{
	const struct checked_shmem *absent = NULL;
	struct pages_ids ids = { 0 };
	uint32_t id = 0;
	int r = check_own_pages(cs, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < cs->shmem_count && !absent; i++)
		if (!cs->shmems[i].pagemap && cs->shmems[i].bytes)
			absent = &cs->shmems[i];
	if (!absent)
		return 0;
	r = collect_ids(cs, &ids);
	if (r == 0)
		r = find_unnamed(cs, &ids, &id);
	free(ids.items);
	if (r < 0)
		return error_set(err, r, "look for pages files");
	if (r == 0)
		return 0;
	return error_say(err, -EBADMSG,
			 "pagemap-shmem-%" PRIu64 ".img is missing, and pages-%u.img is named by no other",
			 absent->shmid, id);
}
