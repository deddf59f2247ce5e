/* Answers that need no probe. */
#include "kernel/feature-probes.h"

int probe_always(void)
{
	return 1;
}

/* For what the kernel may well have, and this program does not use yet. */
int probe_never(void)
{
	return 0;
}
