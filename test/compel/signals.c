#include "harness.h"
const struct test signal_tests[] = { { 0 } };
