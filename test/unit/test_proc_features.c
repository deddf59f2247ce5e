/* The feature table: complete rows, masks, answers that are kept, probes that leave nothing behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "kernel/features.h"
#include "kernel/proc-list.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-pid.h"

static void test_table(void **state)
{
	const struct feature *features;
	size_t count, i, k;

	features = feature_table(&count);
	assert_true(count >= 45);
	for (i = 0; i < count; i++) {
		assert_true(features[i].category >= FEATURE_NEEDED && features[i].category <= FEATURE_EXPERIMENTAL);
		assert_non_null(features[i].probe);
		assert_true(*features[i].description && *features[i].needed_for);
		for (k = 0; k < i; k++)
			assert_string_not_equal(features[k].name, features[i].name);
		assert_ptr_equal(feature_find(features[i].name), &features[i]);
	}
	assert_null(feature_find("list"));
	assert_int_equal(feature_available("no such feature"), -ENOENT);
}

static void test_mask(void **state)
{
	(void)setenv("CRIU_MASK_FEATURES", "pidfd_store,uffd-noncoop,external_net_ns", 1);
	assert_true(feature_is_masked("pidfd_store"));
	assert_true(feature_is_masked("external_net_ns"));
	assert_false(feature_is_masked("uffd"));
	assert_false(feature_is_masked("pidfd"));
	assert_int_equal(feature_available("external_net_ns"), 0);
	(void)unsetenv("CRIU_MASK_FEATURES");
	assert_false(feature_is_masked("pidfd_store"));
	assert_int_equal(feature_available("external_net_ns"), 1);
	assert_int_equal(feature_available("compat_cr"), 0);
}

static size_t count_fds(void)
{
	AUTO_CLOSE int procfd = proc_open(0);
	AUTO_FREE int *fds = NULL;
	size_t count;

	assert_int_equal(proc_list_fds(procfd, &fds, &count), 0);
	return count;
}

/* All probes once: none may leave a child, a descriptor or a changed namespace. */
static void test_no_trace(void **state)
{
	AUTO_CLOSE int procfd = proc_open(0);
	struct proc_ns_ids before, after;
	const struct feature *features;
	size_t count, i, fds = count_fds();

	assert_int_equal(proc_ns_read(procfd, NULL, &before), 0);
	features = feature_table(&count);
	for (i = 0; i < count; i++) {
		int answer = features[i].probe();

		assert_true(answer <= 1);
		if (answer < 0)
			print_message("%s: %s\n", features[i].name, strerror(-answer));
		assert_int_equal(count_fds(), fds);
		assert_true(waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
	}
	assert_int_equal(proc_ns_read(procfd, NULL, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
