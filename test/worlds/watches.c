/* inotify: watches of a directory and of files in it, by their numbers; what happens after the restore arrives. */
#include "world.h"

#include <poll.h>
#include <sys/inotify.h>

enum { FILES = 3, MOST_WATCHES = 8, MOST_EVENTS = 16 };

struct watch {
	int number, file; /* -1: the directory */
	uint32_t mask;
};

struct watcher {
	struct watch watches[MOST_WATCHES];
	int count, made;
};

struct expected {
	int number;
	uint32_t mask;
	char name[16];
};

static struct expected expected[MOST_EVENTS];
static int expected_count;

static long path_to(const struct object *object, int file)
{
	return file < 0 ? path_of("watched%d", object->number) : path_of("watched%d/%d", object->number, file);
}

static struct watch *find_watch(struct watcher *watcher, int file)
{
	for (int i = 0; i < watcher->count; i++)
		if (watcher->watches[i].file == file)
			return &watcher->watches[i];
	return NULL;
}

static void add_watch(struct object *object, const struct description *d)
{
	struct watcher *watcher = object->model;
	struct watch one = { .file = (int)below(FILES + 1) - 1 }, *old = find_watch(watcher, one.file);
	uint32_t mask = (uint32_t)some_of(IN_CREATE | IN_DELETE | IN_ATTRIB | IN_MODIFY) | IN_ATTRIB;
	uint32_t how = one_in(4) ? IN_ONESHOT : one_in(4) ? IN_MASK_ADD : 0;
	long number;

	if (watcher->count == MOST_WATCHES)
		return;
	if (old && how == IN_ONESHOT)
		return;
	number = at(d, SYS_inotify_add_watch, path_to(object, one.file), (long)(mask | how));
	EXPECT(number > 0);
	if (old) {
		EXPECT_EQ(number, old->number);
		old->mask = how == IN_MASK_ADD ? old->mask | mask : mask;
		return;
	}
	for (int i = 0; i < watcher->count; i++)
		EXPECT(number != watcher->watches[i].number);
	one.number = (int)number;
	one.mask = mask | (how & IN_ONESHOT);
	watcher->watches[watcher->count++] = one;
}

static void remove_watch(struct watcher *watcher, const struct description *d)
{
	struct watch *watch = watcher->count ? &watcher->watches[below((unsigned int)watcher->count)] : NULL;

	if (!watch)
		return;
	EXPECT_EQ(at(d, SYS_inotify_rm_watch, watch->number), 0);
	expected[expected_count++] = (struct expected){ watch->number, IN_IGNORED, "" };
	*watch = watcher->watches[--watcher->count];
}

static void expect(struct watcher *watcher, int file, uint32_t mask, const char *name)
{
	struct watch *watch = find_watch(watcher, file);

	if (!watch || !(watch->mask & mask))
		return;
	expected[expected_count] = (struct expected){ .number = watch->number, .mask = mask };
	snprintf(expected[expected_count++].name, sizeof(expected[0].name), "%s", name);
	if (!(watch->mask & IN_ONESHOT))
		return;
	expected[expected_count++] = (struct expected){ watch->number, IN_IGNORED, "" };
	*watch = watcher->watches[--watcher->count];
}

static void happen(struct object *object)
{
	struct watcher *watcher = object->model;
	int task = any_task(), file = (int)below(FILES);
	char name[16];

	snprintf(name, sizeof(name), "%d", file);
	switch (below(3)) {
	case 0:
		EXPECT_EQ(call(task, SYS_fchmodat, AT_FDCWD, path_to(object, file), 0600 + below(0100)), 0);
		expect(watcher, -1, IN_ATTRIB, name);
		expect(watcher, file, IN_ATTRIB, "");
		break;
	case 1:
		EXPECT_EQ(call(task, SYS_truncate, path_to(object, file), 100), 0);
		expect(watcher, -1, IN_MODIFY, name);
		expect(watcher, file, IN_MODIFY, "");
		break;
	default:
		file = FILES + watcher->made++;
		snprintf(name, sizeof(name), "%d", file);
		EXPECT_EQ(call(task, SYS_mknodat, AT_FDCWD, path_to(object, file), S_IFREG | 0600, 0), 0);
		expect(watcher, -1, IN_CREATE, name);
		EXPECT_EQ(call(task, SYS_unlinkat, AT_FDCWD, path_to(object, file), 0), 0);
		expect(watcher, -1, IN_DELETE, name);
	}
}

static bool take_expected(const struct inotify_event *event)
{
	for (int i = 0; i < expected_count; i++) {
		if (expected[i].number != event->wd || expected[i].mask != event->mask ||
		    strcmp(expected[i].name, event->len ? event->name : "") != 0)
			continue;
		expected[i] = expected[--expected_count];
		return true;
	}
	return false;
}

/* All that came is what was expected. */
static void read_events(const struct description *d)
{
	while (poll_events(d) & POLLIN) {
		long n = at(d, SYS_read, P(scratch), 4096);

		EXPECT(n > 0);
		for (long i = 0; i < n;) {
			const struct inotify_event *event = (void *)(scratch + i);

			if (!take_expected(event))
				FAIL("event %#x of watch %d, name \"%s\", which should not be", event->mask, event->wd,
				     event->len ? event->name : "");
			i += (long)(sizeof(*event) + event->len);
		}
	}
	if (expected_count)
		FAIL("event %#x of watch %d, name \"%s\", has not come", expected[0].mask, expected[0].number,
		     expected[0].name);
}

static void make(struct object *object, int task)
{
	struct watcher *watcher = object->model = calloc(1, sizeof(*watcher));
	const struct description *d;

	EXPECT_EQ(call(task, SYS_mkdirat, AT_FDCWD, path_to(object, -1), 0700), 0);
	for (int i = 0; i < FILES; i++)
		EXPECT_EQ(call(task, SYS_mknodat, AT_FDCWD, path_to(object, i), S_IFREG | 0600, 0), 0);
	d = adopt(object, task, call(task, SYS_inotify_init1, some_of(IN_CLOEXEC | IN_NONBLOCK)), 0);
	for (unsigned int i = 1 + below(3); i > 0; i--)
		add_watch(object, d);
	watcher->made = 0;
}

static void act(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (one_in(3))
		add_watch(object, d);
	else if (one_in(4))
		remove_watch(object->model, d);
	else
		happen(object);
	read_events(d);
}

static void check(struct object *object)
{
	const struct description *d = pick(object, -1);

	if (!d)
		return;
	EXPECT_EQ(poll_events(d) & POLLIN, 0);
	for (int i = 0; i < FILES; i++) {
		EXPECT_EQ(call(any_task(), SYS_fchmodat, AT_FDCWD, path_to(object, i), 0640), 0);
		expect(object->model, -1, IN_ATTRIB, (char[]){ (char)('0' + i), 0 });
		expect(object->model, i, IN_ATTRIB, "");
		read_events(d);
	}
}

const struct kind watcher_kind = { .name = "an inotify", .make = make, .act = act, .check = check };
