# Worlds of open files.
#
#   make test-worlds                      20 seeds; COUNT=N FIRST=SEED others

WORLD       := $(TEST_B)/worlds/world
WORLD_OBJ   := $(patsubst test/worlds/%.c,$(TEST_B)/worlds/%.o,$(wildcard test/worlds/*.c))

$(TEST_B)/worlds/%.o: test/worlds/%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -c $< -o $@

$(WORLD): $(WORLD_OBJ) $(TEST_B)/zdtm/zdtmlib.o
	$(CC) -pthread $^ -o $@

test-build: $(WORLD)

.PHONY: test-worlds
test-worlds: $(CRIU) $(ZDTM_RUNNER) $(WORLD) $(TEST_B)/fallbacks
	$(TEST_ENV) test/worlds/worlds.sh $(COUNT) $(FIRST)
