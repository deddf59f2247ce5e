#!/bin/bash
# elsewhere.sh [CASE ...]: restores in a place that differs from that of the dump: clocks that are behind, lower limits,
# another core_pattern. CRIU and TEST_B come from the environment.
set -u
self=$(realpath "$0")
suite=elsewhere
criu=${CRIU:?the program under test}
victim=${TEST_B:?where the test programs are}/elsewhere/keeper
. "$(dirname "$self")/../lib/cases.sh"

ended() {
	while [ -e /proc/$pid/status ] && ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.02; done
}

dumped() {
	mkdir -p set
	run_criu dump -t "$pid" -D set -v4 -o dump.log "$@"
	[ $status -eq 0 ] || fail "the dump failed"
	ended
}

restored() {
	run_criu restore -d -D set -v4 -o restore.log "$@"
	[ $status -eq 0 ] || fail "the restore failed"
	sleep 0.2
	grep '^FAIL' out && exit 1
	[ -e /proc/$pid ] || fail "it has ended: $(cat out)"
}

# The clocks of process $1 and of a program started with its time namespace: seconds since boot.
clock_of() {
	nsenter --time="/proc/$1/ns/time" cut -d. -f1 /proc/uptime
}

# start_shifted SECONDS KIND: a victim whose clocks are ahead by so much.
start_shifted() {
	unshare --time --monotonic "$1" --boottime "$1" true 2>/dev/null || { echo "no time namespaces"; exit 77; }
	unshare --time --fork --monotonic "$1" --boottime "$1" "$victim" "$2" </dev/null >out 2>/dev/null &
	disown
	await_ready
	pid=$(tr -d " " <"/proc/$!/task/$!/children")
}

# As if the machine had been started again between dump and restore: seen from here the clocks stood at a later time.
dump_shifted() {
	local time_ns=/proc/$pid/ns/time real=$criu
	criu=nsenter run_criu --time=$time_ns "$real" dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "the dump failed"
	ended
}

# The kernel keeps the deadlines of waiting calls in the machine's time, whatever the checkpointer's clocks show.
case_waits_in_shifted_time() {
	local runner=$TEST_B/zdtm/runner list
	list=$(realpath "$(dirname "$self")/../zdtm")
	unshare --time --monotonic 5000 --boottime 9000 true 2>/dev/null || { echo "no time namespaces"; exit 77; }
	unshare --time --monotonic 5000 --boottime 9000 --fork \
		"$runner" -c "$criu" -s "$list" -m plain -k timed_waits >log 2>&1 </dev/null || fail "$(tail -n5 log)"
}

case_clocks_behind() {
	local before now
	mkdir set
	start_shifted 500000 clocks
	before=$(clock_of $pid)
	dump_shifted
	restored
	now=$(clock_of $pid)
	[ $now -ge $before ] && [ $now -le $((before + 200)) ] || fail "its clock was at $before, is at $now"
	# What it has seen it keeps over further dumps.
	rm -r set
	dumped
	restored
	now=$(clock_of $pid)
	[ $now -ge $before ] && [ $now -le $((before + 200)) ] || fail "its clock was at $before, later at $now"
	passes
}

case_clocks_behind_without_namespace() {
	mkdir set
	start_shifted 500000 clocks
	dump_shifted
	CRIU_MASK_FEATURES=timens refused restore -d -D set
	says 'CLOCK_MONOTONIC would run backwards' 'hint: .*a machine that has run for longer'
	[ -e /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status && fail "something was restored"
	restored
	passes
}

case_clocks_ahead() {
	start clocks
	dumped
	restored
	[ "$(readlink /proc/$pid/ns/time)" = "$(readlink /proc/self/ns/time)" ] || fail "it has a time namespace"
	passes
}

# A namespace of its own is one of its own again, in which time has stood still.
case_time_namespace() {
	local before now from=$SECONDS passed
	start_shifted 700000 clocks
	before=$(clock_of $pid)
	dumped
	passed=$((SECONDS - from + 1))
	sleep 5
	from=$SECONDS
	restored
	now=$(clock_of $pid)
	passed=$((passed + SECONDS - from + 1))
	[ $now -ge $before ] && [ $now -le $((before + passed)) ] ||
		fail "its clock was at $before, is at $now, and it has lived for at most $passed s"
	passes
}

# --- the parent's end -------------------------------------------------------------------------------------------------

# A detached tree gets it from the parent that it has from then on, not at the end of criu.
case_death_signal() {
	start death
	dumped
	restored
	sleep 0.2
	passes
}

case_death_signal_attached() {
	start death
	dumped
	printf '#!/bin/sh\ncase $CRTOOLS_SCRIPT_ACTION in post-resume) kill -TERM %s;; esac\n' $pid >hook
	chmod 755 hook
	run_criu restore -D set --action-script "$PWD/hook"
	grep -q '^PASS$' out || fail "$(cat out)"
}

# --- limits and cores -------------------------------------------------------------------------------------------------

case_limits_lower() {
	start idle
	dumped
	ulimit -Hc 4
	refused restore -d -D set
	says 'its limit RLIMIT_CORE of .* is higher than what can be given here' 'hint: .*CAP_SYS_RESOURCE'
	nobody_left || fail "${others[*]} are left"
}

# What the kernel says of the file is what counts; criu reads it through this mount.
core_pattern() {
	echo "$1" >pattern
	mount --bind pattern /proc/sys/kernel/core_pattern
}

start_core() {
	setsid "$victim" core </dev/null >out 2>&1 &
	pid=$!
	disown
	for ((n = 0; n < 3000; n++)); do
		grep -qs READY out && return
		grep -qs SKIP out && { cat out; exit 77; }
		sleep 0.02
	done
	fail "it does not start"
}

case_core_pattern() {
	start_core
	dumped
	core_pattern '|/usr/bin/true %p'
	refused restore -d -D set
	says 'a zombie: has dumped a core' 'hint: sysctl kernel.core_pattern=core'
	umount /proc/sys/kernel/core_pattern
	rm -f core*
	restored
	passes
	compgen -G 'core*' >/dev/null && fail "a core was left: $(echo core*)"
	return 0
}

# Another kernel's: a byte of its header that means nothing is not the same.
case_other_vdso() {
	start ended
	dumped
	python3 - set/pages-*.img <<-'END' || fail "no vdso in the set"
		import sys
		found = 0
		for name in sys.argv[1:]:
		    with open(name, 'r+b') as file:
		        pages = bytearray(file.read())
		        for at in range(0, len(pages), 4096):
		            if pages[at:at + 4] == b'\x7fELF' and b'__vdso_clock_gettime' in pages[at:at + 8192]:
		                pages[at + 15] ^= 1
		                found = 1
		        file.seek(0)
		        file.write(pages)
		sys.exit(not found)
	END
	restored
	passes
}

case_core_limit() {
	start_core
	dumped
	ulimit -Hc 0
	refused restore -d -D set
	says 'has dumped a core, which the hard limit RLIMIT_CORE forbids|its limit RLIMIT_CORE'
}

run_cases "$@"
