# What leads out of the tree.
#
#   make test-outside                     all; C='pipes_kept devices' only these

$(TEST_B)/outside/held: test/outside/held.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $< -o $@

test-build: $(TEST_B)/outside/held

.PHONY: test-outside
test-outside: $(CRIU) $(TEST_B)/outside/held
	$(TEST_ENV) unshare --pid --fork --mount --mount-proc test/outside/outside.py $(C)
