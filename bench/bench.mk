# make bench                       times of dumps and restores as ratios to reference work, see bench/README
# make bench PEER=/path/to/criu    the same with another program in turn
# make bench ONLY=GiB RUNS=3       only some of it

PEER ?=
ONLY ?=
RUNS ?= 5

$(B)/bench/%.o: bench/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(CC) $(ALLCFLAGS) -c $< -o $@

$(B)/bench/bench: $(B)/bench/bench.o $(B)/bench/calls.o $(B)/bench/reference.o $(B)/images/stats.pb-c.o
	$(CC) $(SANFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/bench/load: $(B)/bench/load.o $(B)/bench/load-files.o
	$(CC) $(SANFLAGS) $(LDFLAGS) $^ -pthread -o $@

$(B)/bench/empty: bench/empty.c
	@mkdir -p $(@D)
	$(CC) -O2 -static $< -o $@

.PHONY: bench
bench: $(B)/criu/criu $(B)/bench/bench $(B)/bench/load $(B)/bench/empty
	$(B)/bench/bench --criu $(B)/criu/criu --load $(B)/bench/load --empty $(B)/bench/empty \
		--peer "$(PEER)" --only "$(ONLY)" --runs $(RUNS)
