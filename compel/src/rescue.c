#include "internal.h"
int compel_rescue(struct compel_journal *journal, struct compel_error *err)
{
	return fail(err, -ENOSYS, "rescue");
}
