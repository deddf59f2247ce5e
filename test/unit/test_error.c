/* Sentences about long paths keep their beginning and their reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/refusals.h"

static bool ends_with(const char *text, const char *end)
{
	size_t bytes = strlen(text), end_bytes = strlen(end);

	return bytes >= end_bytes && !strcmp(text + bytes - end_bytes, end);
}

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* "/first/dddd.../last" of so many bytes. */
static char *long_path(size_t bytes, const char *middle)
{
	char *path = malloc(bytes + 1);
	size_t used = (size_t)sprintf(path, "/first/");

	while (used + strlen(middle) + strlen("/last") <= bytes)
		used += (size_t)sprintf(path + used, "%s", middle);
	(void)sprintf(path + used, "/last");
	return path;
}

static void short_ones_stay(void **state)
{
	struct error err = { 0 };

	error_hint(&err, "do %s", "this");
	assert_int_equal(error_set(&err, -ENOENT, "pid %d, fd %d", 7, 3), -ENOENT);
	assert_string_equal(err.text, "pid 7, fd 3: No such file or directory");
	assert_string_equal(err.hint, "do this");
	error_prefix(&err, "dump");
	assert_string_equal(err.text, "dump: pid 7, fd 3: No such file or directory");
	assert_int_equal(error_say(&err, -EIO, "another"), -EIO);
	assert_string_equal(err.text, "dump: pid 7, fd 3: No such file or directory");
}

static void limit_is_used(void **state)
{
	char text[101], same[101];

	memset(text, 'x', 99);
	text[99] = '\0';
	memcpy(same, text, sizeof(text));
	error_shorten(text, 100);
	assert_string_equal(text, same);
	text[99] = 'y';
	text[100] = '\0';
	error_shorten(text, 100);
	assert_int_equal(strlen(text), 99);
	assert_true(begins_with(text, "xxxxxxxxxx") && ends_with(text, "y") && strstr(text, "x...x"));
}

static void reason_survives(void **state)
{
	static const size_t sizes[] = { 900, 960, 1000, 1023, 1024, 1100, 2000, 4095 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *path = long_path(sizes[i], "d");
		struct error set = { 0 }, say = { 0 }, two = { 0 };

		error_hint(&set, "move %s to a shorter path", path);
		(void)error_set(&set, -EACCES, "pid 7 (x), fd 3, %s: open it", path);
		assert_true(begins_with(set.text, "pid 7 (x), fd 3, /first/"));
		assert_true(ends_with(set.text, "/last: open it: Permission denied"));
		assert_true(begins_with(set.hint, "move /first/d") && ends_with(set.hint, "d/last to a shorter path"));
		error_prefix(&set, "restore: %s", path);
		assert_true(begins_with(set.text, "restore: /first/"));
		assert_true(ends_with(set.text, "/last: open it: Permission denied"));
		(void)error_say(&say, -EINVAL, "%s: was removed", path);
		assert_true(begins_with(say.text, "/first/d") && ends_with(say.text, "d/last: was removed"));
		(void)error_say(&two, -EINVAL, "%s and %s: differ", path, path);
		assert_true(begins_with(two.text, "/first/d") && ends_with(two.text, "d/last: differ"));
		assert_non_null(strstr(two.text, "d/last and /first/d"));
		assert_true(strlen(set.text) < sizeof(set.text) && strlen(two.text) < sizeof(two.text));
		free(path);
	}
}

static void blanks_in_paths(void **state)
{
	char *path = long_path(4000, "a b ");
	struct error err = { 0 };

	(void)error_set(&err, -ESTALE, "pid 7, %s: read it", path);
	assert_true(begins_with(err.text, "pid 7, /first/"));
	assert_true(ends_with(err.text, "/last: read it: Stale file handle"));
	assert_non_null(strstr(err.text, "..."));
	free(path);
}

static void control_characters_are_replaced(void **state)
{
	struct error err = { 0 };

	error_hint(&err, "rename %s", "a\nb");
	(void)error_set(&err, -EIO, "pid 7 (%s), %s", "\033[31mx\n", "/tmp/\303\244\302\233\177\302");
	assert_string_equal(err.text, "pid 7 (?[31mx?), /tmp/\303\244???\302: Input/output error");
	assert_string_equal(err.hint, "rename a?b");
	error_prefix(&err, "%s", "\r");
	assert_true(begins_with(err.text, "?: pid 7 (?[31mx?)"));
}

static void characters_stay_whole(void **state)
{
	char *path = long_path(4000, "\xe2\x82\xac");
	struct error err = { 0 };

	(void)error_say(&err, -EINVAL, "%s: is odd", path);
	for (const char *c = strstr(err.text, "first/") + 6; *c == '\xe2'; c += 3)
		assert_true(c[1] == '\x82' && c[2] == '\xac');
	assert_true(strstr(err.text, "\xe2\x82\xac...\xe2\x82\xac") && ends_with(err.text, "/last: is odd"));
	free(path);
}

static void others_are_counted(void **state)
{
	struct refusals refusals = REFUSALS_INIT;
	char *path = long_path(4000, "d");
	struct error err = { 0 };

	refusals.is_quiet = true;
	for (int i = 0; i < 5; i++) {
		struct error reason = { 0 };

		(void)error_say(&reason, -EINVAL, "%s: is odd", path);
		refusals_add(&refusals, &reason);
	}
	assert_int_equal(refusals_report(&refusals, 3, &err), -EINVAL);
	assert_true(begins_with(err.text, "/first/") && strstr(err.text, "/last: is odd (and 4 more, see "));
	assert_true(ends_with(err.text, ")"));
	refusals_done(&refusals);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_ones_stay),
		cmocka_unit_test(limit_is_used),
		cmocka_unit_test(reason_survives),
		cmocka_unit_test(blanks_in_paths),
		cmocka_unit_test(control_characters_are_replaced),
		cmocka_unit_test(characters_stay_whole),
		cmocka_unit_test(others_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
