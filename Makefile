# One readable build: everything lands in $(B), nothing generated is committed.
#
#   make            criu, libcompel, the compel CLI, test programs are built by their own targets
#   make test       unit tests, then behaviours in namespaces of their own (needs root)
#   make SAN=1      address and undefined-behaviour sanitizers for all but the PIE

B        ?= build
ifeq ($(origin CC),default)
CC       := gcc
endif
PREFIX   ?= /usr/local
SBINDIR  ?= $(PREFIX)/sbin
BINDIR   ?= $(PREFIX)/bin
LIBDIR   ?= $(PREFIX)/lib
INCDIR   ?= $(PREFIX)/include
MANDIR   ?= $(PREFIX)/share/man
DESTDIR  ?=

OPT      ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wformat=2 -Wno-format-nonliteral \
            -Wno-unused-parameter -Wno-missing-field-initializers -Wundef -Wpointer-arith
STD      := -std=gnu11 -D_GNU_SOURCE
SANFLAGS := $(if $(SAN),-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=undefined \
              -fno-omit-frame-pointer)
INCLUDE  := -Icriu -Icompel/include -I$(B)
CFLAGS   ?=
ALLCFLAGS = $(STD) $(OPT) $(WARN) $(INCLUDE) $(SANFLAGS) -pthread -MMD -MP $(CFLAGS)
LDLIBS   := -lprotobuf-c -pthread

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

.PHONY: all
all: $(B)/criu/criu $(B)/compel/compel $(B)/compel/libcompel.a

# --- images: the .proto files become C -----------------------------------------------------------------------------

PROTOS   := $(wildcard images/*.proto)
PROTO_H  := $(PROTOS:%.proto=$(B)/%.pb-c.h)
PROTO_O  := $(PROTOS:%.proto=$(B)/%.pb-c.o)

$(B)/images/%.pb-c.c $(B)/images/%.pb-c.h &: images/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=images --c_out=$(B)/images $<

$(B)/images/%.pb-c.o: $(B)/images/%.pb-c.c | $(PROTO_H)
	$(CC) $(STD) $(OPT) -I$(B)/images -I$(B) $(SANFLAGS) -MMD -MP -c $< -o $@

# --- compel ----------------------------------------------------------------------------------------------------------

COMPEL_SRC := $(wildcard compel/src/*.c)
COMPEL_OBJ := $(COMPEL_SRC:%.c=$(B)/%.o)

$(B)/compel/libcompel.a: $(COMPEL_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/compel/compel: $(B)/compel/cli/main.o $(B)/compel/libcompel.a
	$(CC) $(SANFLAGS) $(LDFLAGS) $^ -o $@

$(B)/compel/%.o: compel/%.c
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c $< -o $@

# --- PIE: code that runs inside the target; flat images without relocations -----------------------------------------

PIE_CFLAGS := $(STD) -O2 -g $(WARN) -Icriu -ffreestanding -fpie -fvisibility=hidden -fno-stack-protector \
              -fcf-protection=none -mgeneral-regs-only -fno-asynchronous-unwind-tables -fno-builtin -fno-jump-tables \
              -fno-tree-loop-distribute-patterns -ffunction-sections -MMD -MP
PIES       := parasite restorer
PIE_BLOBS  := $(PIES:%=$(B)/criu/pie/%.blob.o)

# clang has no -fno-tree-loop-distribute-patterns
ifneq (,$(findstring clang,$(shell $(CC) --version | head -1)))
PIE_CFLAGS := $(filter-out -fno-tree-loop-distribute-patterns,$(PIE_CFLAGS))
endif

$(B)/criu/pie/%.pie.o: criu/pie/%.c
	@mkdir -p $(@D)
	$(CC) $(PIE_CFLAGS) -c $< -o $@

# A blob is made of all files that begin with its name.
pie_objects = $(patsubst %.c,$(B)/%.pie.o,$(wildcard criu/pie/$(1)*.c))
$(B)/criu/pie/parasite.elf: $(call pie_objects,parasite)
$(B)/criu/pie/restorer.elf: $(call pie_objects,restorer)

$(B)/criu/pie/%.elf: criu/pie/pie.lds scripts/check-pie
	$(CC) -nostdlib -static -Wl,-T,criu/pie/pie.lds -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--gc-sections \
		-Wl,--no-warn-rwx-segments $(filter %.o,$^) -o $@ 2>/dev/null || \
	$(CC) -nostdlib -static -Wl,-T,criu/pie/pie.lds -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--gc-sections \
		$(filter %.o,$^) -o $@
	scripts/check-pie $@ $(filter %.o,$^)

$(B)/criu/pie/%.bin: $(B)/criu/pie/%.elf
	objcopy -O binary -j .blob $< $@

$(B)/criu/pie/%.blob.o: criu/pie/blob.S $(B)/criu/pie/%.bin
	$(CC) -c -DBLOB=pie_$* -DBLOB_FILE='"$(B)/criu/pie/$*.bin"' $< -o $@

# --- criu ------------------------------------------------------------------------------------------------------------

CRIU_SRC := $(wildcard criu/*.c criu/*/*.c criu/arch/x86/*.c)
CRIU_SRC := $(filter-out criu/pie/%,$(CRIU_SRC))
CRIU_OBJ := $(CRIU_SRC:%.c=$(B)/%.o)
# All but main(): what the unit tests and fuzzers link against.
CRIU_LIB := $(B)/criu/libcriu-internal.a

$(B)/criu/%.o: criu/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c $< -o $@

$(CRIU_LIB): $(filter-out $(B)/criu/main.o,$(CRIU_OBJ)) $(PROTO_O) $(PIE_BLOBS)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/criu/criu: $(B)/criu/main.o $(CRIU_LIB) $(B)/compel/libcompel.a
	$(CC) $(SANFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d)

# --- tests, checks, installation: their rules live beside what they build -------------------------------------------

-include test/test.mk
-include scripts/install.mk

.PHONY: clean
clean:
	rm -rf $(B)
