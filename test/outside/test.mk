# What leads out of the tree.
#
#   make test-outside                     all; C='pipes_kept devices' only these

OUTSIDE_BIN := $(patsubst test/outside/%.c,$(TEST_B)/outside/%,$(wildcard test/outside/*.c))

$(OUTSIDE_BIN): $(TEST_B)/outside/%: test/outside/%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $< -lrt -o $@

test-build: $(OUTSIDE_BIN)

.PHONY: test-outside
test-outside: $(CRIU) $(OUTSIDE_BIN)
	$(TEST_ENV) unshare --pid --fork --mount --mount-proc test/outside/outside.py $(C)
