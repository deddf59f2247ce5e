# Tests of the compel library on live tasks: one program, ok/FAIL per test, a closing line with the sums. Needs root.
#
#   make test-compel                      build and run all
#   $(B)/test/compel/test_compel rescue   only tests whose names begin like this

TEST_COMPEL_SRC := $(wildcard test/compel/*.c)
TEST_COMPEL_OBJ := $(TEST_COMPEL_SRC:%.c=$(B)/%.o)

$(B)/test/compel/%.o: test/compel/%.c
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c $< -o $@

$(B)/test/compel/test_compel: $(TEST_COMPEL_OBJ) $(B)/compel/libcompel.a
	$(CC) $(SANFLAGS) $(LDFLAGS) $^ -pthread -o $@

.PHONY: test-compel
test-compel: $(B)/test/compel/test_compel
	$<
