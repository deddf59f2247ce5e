#include "harness.h"
const struct test rescue_tests[] = { { 0 } };
