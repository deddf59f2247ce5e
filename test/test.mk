# Tests. Each program or script ends with a line "N passed, N failed, N skipped"; test/collect adds them up.
#
#   make test             everything that takes minutes (behaviours need root)
#   make test-unit        units alone, without root
#   make test-zdtm        behaviours in all modes; M=plain,compare K='file_*' narrow them down
#   make test-badinput    damaged sets; test-changed: sets of what has changed meanwhile; C='CASE' only these
#   make test-images      image sets as another reader sees them, and as older versions wrote them
#   make test-mutate      the program with single statements left out: each behaviour named in test/mutate/mutations.tsv
#                         has to notice; MUTATE='-k seccomp' only some
#   make test-long        full sweeps: kills at every system call, every kernel feature masked, 300 mutations, larger
#                         programs, all stressors of stress-ng
#   make test-fuzz-build  fuzz targets, in a build directory of their own

TEST_B      := $(B)/test
TEST_CFLAGS  = $(STD) -O1 -g $(WARN) -pthread -MMD -MP
CRIU        := $(B)/criu/criu
GOLDEN_DIR  ?= ../shared/golden
export GOLDEN_DIR

# A restored process starts as a copy of a sanitized one, and would keep the signal stack that the sanitizer made.
ifneq (,$(SAN))
export ASAN_OPTIONS := use_sigaltstack=0
# Leaks are looked for by tracing oneself, which cannot be done while one is traced.
KILL_ENV := ASAN_OPTIONS=$(ASAN_OPTIONS):detect_leaks=0
# The sanitizers' own calls cannot do with failures: those are for an ordinary build.
endif

# --- units: each test/unit/test_*.c is a cmocka program of its own ---------------------------------------------------

UNIT_BIN    := $(patsubst test/unit/%.c,$(TEST_B)/unit/%,$(wildcard test/unit/test_*.c))

$(TEST_B)/unit/%: test/unit/%.c $(CRIU_LIB) $(B)/compel/libcompel.a
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) $(LDFLAGS) $< $(CRIU_LIB) $(B)/compel/libcompel.a -lcmocka $(LDLIBS) -o $@

.PHONY: test-unit
test-unit: $(UNIT_BIN)
	test/collect --unit $(UNIT_BIN)

# --- behaviours -------------------------------------------------------------------------------------------------------

ZDTM_SHARED := zdtmlib runner inside snapshot standing surroundings
ZDTM_SRC    := $(filter-out $(ZDTM_SHARED:%=test/zdtm/%.c),$(wildcard test/zdtm/*.c))
ZDTM_BIN    := $(ZDTM_SRC:test/zdtm/%.c=$(TEST_B)/zdtm/%)
ZDTM_RUNNER := $(TEST_B)/zdtm/runner

$(TEST_B)/zdtm/%.o: test/zdtm/%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -c $< -o $@

$(ZDTM_RUNNER): $(TEST_B)/zdtm/runner.o $(TEST_B)/zdtm/inside.o $(TEST_B)/zdtm/snapshot.o $(TEST_B)/zdtm/standing.o \
		$(TEST_B)/zdtm/surroundings.o
	$(CC) $^ -o $@

$(ZDTM_BIN): $(TEST_B)/zdtm/%: $(TEST_B)/zdtm/%.o $(TEST_B)/zdtm/zdtmlib.o
	$(CC) -pthread $^ -o $@

# The optional kernel features that are there, so that each can be masked, and those among them that the code has a
# fallback for: masking any other changes nothing in a dump or a restore. Nothing stands in for kernel_memory: what needs
# it is refused.
$(TEST_B)/features: $(CRIU)
	@mkdir -p $(@D)
	$(CRIU) check --all | awk '$$2 == "yes" && $$1 != "kernel_memory" { print $$1 }' > $@

$(TEST_B)/fallbacks: $(TEST_B)/features
	grep -rhoE 'feature_(is_masked|available)\("[a-z0-9_]+"\)' criu | cut -d'"' -f2 | sort -u | grep -xFf $< > $@

M           ?= plain,compare,iterations,leave-running,stopped
K           ?= *
ZDTM        := $(ZDTM_RUNNER) -c $(CRIU) -s test/zdtm
# In mode plain each image set is looked at the way another reader does, in mode iterations the second is compared with
# the first.
ZDTM_CHECK  := -x test/images/check-set.py -X test/images/same-set.py
# Each image set is rewritten before the restore.
ZDTM_OLDER  := $(ZDTM) -m plain -x test/images/older-set.py

.PHONY: test-zdtm
test-zdtm: $(CRIU) $(ZDTM_RUNNER) $(ZDTM_BIN) $(TEST_B)/features
	$(ZDTM) $(ZDTM_CHECK) -F $(TEST_B)/features -m $(M) -k '$(K)'

.PHONY: test-images
test-images: $(CRIU) $(ZDTM_RUNNER) $(ZDTM_BIN)
	@test/collect 'current=$(ZDTM) $(ZDTM_CHECK) -m plain -k "$(K)"' 'old=FORM=old $(ZDTM_OLDER) -k "$(K)"' \
		'chain=FORM=chain $(ZDTM_OLDER) -k "$(K)"'

# --- kills, bad input, golden images, real programs -------------------------------------------------------------------

KILL        := $(TEST_B)/kill/kill
KILL_BIN    := $(KILL) $(TEST_B)/kill/target
BADINPUT_BIN := $(TEST_B)/badinput/damage $(TEST_B)/badinput/victim $(TEST_B)/badinput/cookie.so $(TEST_B)/zdtm/fuse_server
# Sets are changed by the means that damage them.
CHANGED_BIN := $(TEST_B)/changed/holder $(TEST_B)/badinput/damage
REAL_BIN    := $(TEST_B)/real/load

$(TEST_B)/kill/%.o: test/kill/%.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -c $< -o $@

$(KILL): $(TEST_B)/kill/kill.o $(TEST_B)/kill/driver.o $(TEST_B)/kill/state.o
	$(CC) $^ -o $@

$(TEST_B)/kill/target: $(TEST_B)/kill/target.o
	$(CC) -pthread $^ -o $@

$(TEST_B)/badinput/victim: test/badinput/victim.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $< -o $@

$(TEST_B)/badinput/cookie.so: test/badinput/cookie.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -shared -fPIC $< -o $@

$(TEST_B)/changed/holder: test/changed/holder.c
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) $< -o $@

$(TEST_B)/badinput/damage: test/badinput/damage.c $(CRIU_LIB)
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -I$(B)/images $< $(CRIU_LIB) $(B)/compel/libcompel.a $(LDLIBS) -o $@

$(REAL_BIN): test/real/load.cc
	@mkdir -p $(@D)
	$(if $(findstring clang,$(CC)),clang++,g++) -std=c++17 -O2 -g -Wall -Wextra -Werror -pthread $< -o $@

.PHONY: test-badinput test-changed
test-badinput: $(CRIU) $(BADINPUT_BIN)
	$(TEST_ENV) test/badinput/badinput.sh $(C)

test-changed: $(CRIU) $(CHANGED_BIN)
	$(TEST_ENV) test/changed/changed.sh $(C)

TEST_BIN    := $(ZDTM_RUNNER) $(ZDTM_BIN) $(KILL_BIN) $(sort $(BADINPUT_BIN) $(CHANGED_BIN)) $(REAL_BIN)

.PHONY: test-build test test-long
test-build: $(CRIU) $(UNIT_BIN) $(TEST_BIN)

-include $(wildcard test/*/test.mk)
-include $(wildcard $(TEST_B)/*/*.d)

COMPEL_TEST := $(if $(wildcard test/compel/test.mk),'compel=$(MAKE) -s test-compel')
TEST_ENV    := CRIU=$(abspath $(CRIU)) TEST_B=$(abspath $(TEST_B))

test: test-build $(TEST_B)/fallbacks
	@test/collect 'unit=test/collect --unit $(UNIT_BIN)' $(COMPEL_TEST) \
		'zdtm=$(ZDTM) $(ZDTM_CHECK) -F $(TEST_B)/fallbacks -m $(M),mask-some' \
		'old=FORM=old $(ZDTM_OLDER)' 'chain=FORM=chain $(ZDTM_OLDER)' \
		'trees=$(TEST_ENV) test/trees/trees.sh 20' \
		'worlds=$(TEST_ENV) test/worlds/worlds.sh 20' \
		'golden=$(TEST_ENV) test/golden/golden.sh' \
		'badinput=$(TEST_ENV) test/badinput/badinput.sh' \
		'changed=$(TEST_ENV) test/changed/changed.sh' \
		'kill=$(KILL_ENV) $(KILL) -c $(CRIU) -r 40 -s 60' \
		$(if $(SAN),,'fail=$(KILL) -c $(CRIU) -e -s 40') \
		'signal=$(KILL_ENV) $(KILL) -c $(CRIU) -r 20 -s 40 -k 2' \
		'kill-ended=$(KILL_ENV) $(KILL) -c $(CRIU) -r 20 -s 30 -l' \
		'kill-children=$(KILL_ENV) $(KILL) -c $(CRIU) -r 10 -s 30 -t' \
		'kill-vfork=$(KILL_ENV) $(KILL) -c $(CRIU) -r 10 -s 30 -v' \
		'killed-tree=$(TEST_ENV) unshare --pid --fork --mount-proc test/kill/tree.py 10' \
		'killed-threads=$(TEST_ENV) unshare --pid --fork --mount-proc test/kill/tree.py -t 3 10' \
		'real=$(TEST_ENV) test/real/real.sh' \
		'cli=$(TEST_ENV) test/cli/cli.sh' \
		'shell=$(TEST_ENV) unshare --pid --fork --mount-proc test/real/shell.py' \
		'outside=$(TEST_ENV) unshare --pid --fork --mount --mount-proc test/outside/outside.py' \
		'elsewhere=$(TEST_ENV) test/elsewhere/elsewhere.sh'

# Each feature that something stands in for is masked for every behaviour, each one that there is for a few.
test-long: test-build $(TEST_B)/fallbacks
	@test/collect 'zdtm=$(ZDTM) $(ZDTM_CHECK) -L -F $(TEST_B)/fallbacks -m $(M),mask' \
		'mask=$(ZDTM) -F $(TEST_B)/features -m mask -k "file_regular,pipes,memory_private,pending_signals,wide_tree"' \
		'old=FORM=old $(ZDTM_OLDER) -L' 'chain=FORM=chain $(ZDTM_OLDER) -L' \
		'trees=$(TEST_ENV) test/trees/trees.sh 200' \
		'worlds=$(TEST_ENV) test/worlds/worlds.sh 300' \
		'badinput=$(TEST_ENV) MUTATIONS=300 test/badinput/badinput.sh' \
		'changed=$(TEST_ENV) test/changed/changed.sh' \
		'kill=$(KILL_ENV) $(KILL) -c $(CRIU) -r 500 -s 0' \
		'kill-ended=$(KILL_ENV) $(KILL) -c $(CRIU) -l -r 100 -s 200' \
		$(if $(SAN),,'fail=$(KILL) -c $(CRIU) -e -s 300') \
		$(foreach s,1 2 15,'signal-$(s)=$(KILL_ENV) $(KILL) -c $(CRIU) -r 200 -s 300 -k $(s)') \
		'kill-children=$(KILL_ENV) $(KILL) -c $(CRIU) -t -r 100 -s 200' \
		'kill-vfork=$(KILL_ENV) $(KILL) -c $(CRIU) -v -r 50 -s 100' \
		'killed-tree=$(TEST_ENV) unshare --pid --fork --mount-proc test/kill/tree.py 200' \
		'killed-threads=$(TEST_ENV) unshare --pid --fork --mount-proc test/kill/tree.py -t 3 100' \
		'real=$(TEST_ENV) LONG=1 test/real/real.sh' \
		'stress=$(TEST_ENV) test/real/stress.py'

# --- tests of the tests -----------------------------------------------------------------------------------------------

.PHONY: test-mutate
test-mutate: $(CRIU) $(ZDTM_RUNNER) $(ZDTM_BIN)
	test/mutate/mutate.py -b $(B) $(MUTATE)

# --- fuzzing: needs everything instrumented ---------------------------------------------------------------------------

FUZZ_B      := $(B)-fuzz

.PHONY: test-fuzz-build
test-fuzz-build:
	$(MAKE) B=$(FUZZ_B) CC=clang SAN=1 CFLAGS=-fsanitize=fuzzer-no-link fuzz-programs

# Inside that second run of make, $(B) is already the directory of its own.
.PHONY: fuzz-programs
fuzz-programs: $(patsubst test/fuzz/%.c,$(TEST_B)/fuzz/%,$(wildcard test/fuzz/fuzz_*.c))

$(TEST_B)/fuzz/%: test/fuzz/%.c $(CRIU_LIB) $(B)/compel/libcompel.a
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -fsanitize=fuzzer,address,undefined $< $(CRIU_LIB) $(B)/compel/libcompel.a $(LDLIBS) -o $@
