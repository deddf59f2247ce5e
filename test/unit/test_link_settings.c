/* What is set of a network interface, from texts of an image: such that mean nothing are not set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "kernel/link-settings.h"

static void test_meaningless(void **state)
{
	static const struct {
		const char *setting;
		int result;
	} rows[] = {
		{ "speed", -EBADMSG },
		{ "colour=1", -ENOENT },
		{ "multicast/3333000000f=1", -EBADMSG },
		{ "multicast/33:33:00=1", -EBADMSG },
		{ "queue//proc/sysrq-trigger=b", -EBADMSG },
		{ "queue/../../uevent=add", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(link_setting_set("lo", rows[i].setting), rows[i].result);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_meaningless) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
