#include "harness.h"
const struct test odd_tests[] = { { 0 } };
