# Restores in a place that is not like the one of the dump.
#
#   make test-elsewhere                   all; C='clocks_behind' only these

$(TEST_B)/elsewhere/keeper: test/elsewhere/keeper.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $< -o $@

test-build: $(TEST_B)/elsewhere/keeper

.PHONY: test-elsewhere
test-elsewhere: $(CRIU) $(TEST_B)/elsewhere/keeper
	$(TEST_ENV) test/elsewhere/elsewhere.sh $(C)
