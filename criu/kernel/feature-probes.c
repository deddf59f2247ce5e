#include "kernel/feature-probes.h"

int probe_always(void)
{
	return 1;
}
