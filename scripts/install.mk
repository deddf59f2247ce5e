# What is done with a finished build, and what is checked without building.

C_FILES = $(shell find criu compel soccr libcriu crit test bench -name '*.[ch]' 2>/dev/null | sort)

.PHONY: install
install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCDIR)/compel
	install -m 755 $(B)/criu/criu $(DESTDIR)$(SBINDIR)/criu
	install -m 755 $(B)/compel/compel $(DESTDIR)$(BINDIR)/compel
	install -m 644 $(B)/compel/libcompel.a $(DESTDIR)$(LIBDIR)/libcompel.a
	install -m 644 compel/include/compel/*.h $(DESTDIR)$(INCDIR)/compel/
	install -d $(DESTDIR)$(LIBDIR)/compel/scripts
	install -m 644 compel/scripts/compel-pack.lds $(DESTDIR)$(LIBDIR)/compel/scripts/
	install -d $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(wildcard doc/*.8) $(DESTDIR)$(MANDIR)/man8/
	install -m 644 $(wildcard doc/*.1) $(DESTDIR)$(MANDIR)/man1/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 644 scripts/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/criu

.PHONY: format check-format check-layers
format:
	clang-format -i $(C_FILES)

check-format:
	clang-format --dry-run -Werror $(C_FILES)

check-layers:
	scripts/check-layers
	scripts/check-rooms

.PHONY: demo
demo: all
	B=$(B) scripts/demo

include bench/bench.mk
