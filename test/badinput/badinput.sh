#!/bin/bash
# badinput.sh [CASE ...]: wrong things asked for and broken things handed in. Each has to be refused with a message that
# names what it is about, nothing may be left behind, and the target has to be as it was. Each case is a function, run
# as the first process of a pid and mount namespace of its own, in an empty directory. CRIU, TEST_B and MUTATIONS (how
# many, 60) come from the environment.
set -u
self=$(realpath "$0")
criu=${CRIU:?the program under test}
bin=${TEST_B:?where the test programs are}/badinput
mutations=${MUTATIONS:-60}

suite=badinput
victim=$bin/victim
case_timeout=$((600 + mutations * 3))
. "$(dirname "$self")/../lib/cases.sh"

# --- dump -----------------------------------------------------------------------------------------------------------

case_no_such_pid() {
	mkdir set
	refused dump -t 31999 -D set
	says 'dump' '31999' 'no such process'
	nothing_in set
}

case_thread() {
	local each threads=0
	start plain
	mkdir set
	for each in /proc/$pid/task/*; do
		each=${each##*/}
		[ $each -ne $pid ] || continue
		threads=$((threads + 1))
		refused dump -t $each -D set
		says "pid $each \\(.+\\): is a thread" "^hint: .*pid $pid"
	done
	[ $threads -gt 0 ] || fail "the victim has one thread only"
	nothing_in set
	untouched
}

# Whoever names a process does not write to the terminal of who dumps it.
case_name_with_control_characters() {
	cp "$victim" $'\033[31mx\ny'
	victim=./$'\033[31mx\ny' start socket
	mkdir set
	refused dump -t "$pid" -D set -v4 -o "$PWD/dump.log"
	[ "$(grep -vc "^hint: " said)" -eq 1 ] || fail "one sentence was expected"
	says "pid $pid \\(\\?\\[31mx\\?y\\)"
	! grep -q $'\033' dump.log || fail "the log has control characters"
	nothing_in set
}

case_ourselves() {
	mkdir set
	refused dump -t $$ -D set
	says "$$" 'ancestor|ourselves|itself|criu|this'
	nothing_in set
}

# Whoever is inside of its namespace cannot end it.
case_first_process() {
	local outer
	setsid unshare --pid --fork --mount-proc setsid "$victim" plain </dev/null >out 2>&1 &
	outer=$!
	disown
	await_ready
	pid=$(tr -d ' ' </proc/$outer/task/$outer/children)
	printf '#!/bin/sh\nexec nsenter -t %d -p -m %s "$@"\n' "$pid" "$criu" >inside
	chmod +x inside
	criu=./inside
	mkdir set
	refused dump -t 1 -D "$PWD/set"
	says 'pid 1 \(.*\): is the first process of this pid namespace' 'hint: .*children'
	refused dump -R -t 1 -D "$PWD/set"
	nothing_in set
	untouched
}

# Not in a namespace: kernel threads are in the first one only. Nothing can be done to them.
case_kernel_thread() {
	grep -qs '^kthreadd$' /proc/2/comm || { echo "process 2 is no kernel thread here"; exit 77; }
	mkdir set
	refused dump -t 2 -D set
	says '\b2\b' 'kernel thread'
	nothing_in set
}

case_zombie_root() {
	start zombie
	local zombie
	zombie=$(sed -n 's/^zombie //p' out)
	mkdir set
	refused dump -t "$zombie" -D set
	says "$zombie" 'zombie|has ended|exited|dead'
	nothing_in set
	untouched
}

case_already_traced() {
	start plain
	local traced=$pid tracer
	mv out traced.out
	start trace "$traced"
	tracer=$pid
	mkdir set
	refused dump -t "$traced" -D set
	says "$traced" "$tracer" 'trace'
	nothing_in set
	kill -0 "$traced" || fail "the victim is gone"
	kill -KILL "$tracer"
	while [ -e /proc/$tracer ] && ! grep -q '^State:.Z' /proc/$tracer/status; do sleep 0.02; done
	mv traced.out out
	pid=$traced
	untouched
}

case_session_leader_outside() {
	local leader
	setsid bash -c "'$bin/victim' plain </dev/null >out 2>&1 & echo \$! >pid; wait" &
	leader=$!
	await_ready
	until [ -s pid ]; do sleep 0.01; done # the victim may be ready before its number is written
	pid=$(cat pid)
	mkdir set
	refused dump -t "$pid" -D set
	says "$pid" 'session' '--shell-job' '-j'
	nothing_in set
	untouched
}

# The hint, followed to the end.
case_session_of_the_caller() {
	local leader
	setsid bash -c "'$bin/victim' plain </dev/null >out 2>&1 & echo \$! >pid; wait" &
	leader=$!
	await_ready
	until [ -s pid ]; do sleep 0.01; done
	pid=$(cat pid)
	mkdir set
	run_criu dump -t "$pid" -D set --shell-job
	[ $status -eq 0 ] || fail "the dump failed"
	wait $leader
	nobody_left || fail "the dump left ${others[*]}"
	restore_refused --restore-sibling
	says "the root, pid $pid .victim., does not lead its session: the leader $leader is not in the set" \
		'^hint: --shell-job .-j. restores it in the session and process group of this shell'
	run_criu restore -d -D set --restore-sibling --shell-job
	[ $status -eq 0 ] || fail "the hint does not help"
	untouched
}

case_no_image_directory() {
	start plain
	refused dump -t "$pid" -D nowhere
	says 'image directory nowhere' 'no such file or directory'
	refused dump -t "$pid" -D . -W nowhere
	says 'work directory nowhere'
	untouched
}

# Nobody would take what is written there.
case_work_directory_of_the_tree() {
	victim=${bin%/*}/zdtm/fuse_server start nothing
	mkdir set
	refused dump -t "$pid" -D set -W mounted
	says 'a FUSE server by its fd [0-9]+: the work directory is on a FUSE filesystem' '^hint: choose another directory'
	nothing_in set
	untouched
}

case_image_directory_is_a_file() {
	start plain
	: >set
	refused dump -t "$pid" -D set
	says '\bset\b' 'not a directory'
	untouched
}

# Who owns the directory, or may write to it, has been there first: what a name leads to is neither written nor kept.
case_image_names_that_are_taken() {
	local each
	start plain
	mkdir set
	echo precious >precious
	ln precious set/core-$pid.img
	ln -s ../precious set/files.img
	ln -s ../precious set/stats-dump
	mkfifo set/mm-$pid.img set/pages-1.img
	install -m 666 /dev/null set/pagemap-$pid.img
	exec 7>>set/pagemap-$pid.img
	run_criu dump -t "$pid" -D set
	[ $status -eq 0 ] || fail "the dump fails"
	[ "$(cat precious)" = precious ] || fail "another file was written"
	for each in set/*; do
		[ -f "$each" ] && [ ! -L "$each" ] && [ "$(stat -c %h "$each")" -eq 1 ] || fail "$each is still what it was"
	done
	echo more >&7
	exec 7>&-
	nobody_left || fail "after the dump there is ${others[*]}"
	run_criu restore -d -D set
	[ $status -eq 0 ] || fail "the restore fails"
	passes
}

case_image_directory_not_writable() {
	mkdir -m 755 set
	start_as_other plain
	cp "$criu" ./criu-copy && chmod 755 criu-copy
	timeout 60 setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set=-all ./criu-copy dump -t "$pid" -D set \
		--unprivileged </dev/null >said 2>&1
	status=$?
	[ $status -ne 0 ] || fail "criu dump succeeded"
	[ $status -lt 124 ] || fail "criu dump: status $status"
	says 'permission denied|not permitted|not writable'
	nothing_in set
	untouched
}

# Too few descriptors, from those that cannot even open the log to those that are nearly enough.
case_few_descriptors() {
	local n real=$criu enough=
	start plain
	mkdir set
	criu=./few
	for n in 4 5 6 7 8 9 10 12 14 16 20 24 32 64; do
		printf '#!/bin/sh\nulimit -n %s\nexec %s "$@"\n' $n "$real" >few
		chmod 755 few
		rm -rf set && mkdir set
		run_criu dump -t "$pid" -D set -R -o dump.log
		if [ $status -eq 0 ]; then
			enough=1
			continue
		fi
		says 'too many open files' '^hint: .*ulimit -n|cannot open shared'
		nothing_in set
	done
	[ -n "$enough" ] || fail "no number was enough"
	untouched
}

# Each process of the tree costs descriptors; whichever of them there are too few of.
case_few_descriptors_for_processes() {
	local n
	setsid bash -c 'trap "echo PASS; exit" TERM; for i in $(seq 100); do sleep 1000 & done; echo READY; wait' </dev/null >out 2>&1 &
	pid=$!
	disown
	await_ready
	mkdir set
	for n in 40 41 42 60 150 200 210; do
		short -n $n dump -t "$pid" -D set -R
		says 'pid [0-9]+: .* after [0-9]+ other processes \(RLIMIT_NOFILE\)|pid [0-9]+ \(.+\): .*too many open files' \
			'^hint: raise .*ulimit -n'
		nothing_in set
	done
	untouched
}

# The restorer's descriptors find room below a low limit, or there is a sentence.
case_restore_with_few_descriptors() {
	local n
	ulimit -n 64
	start plain
	mkdir set
	run_criu dump -t "$pid" -D set
	[ $status -eq 0 ] || fail "the dump failed"
	nobody_left || fail "the dump left ${others[*]}"
	for n in 30 20 10; do
		printf '#!/bin/sh\nulimit -n %s\nexec %s "$@"\n' $n "$criu" >few
		chmod 755 few
		criu=./few restore_refused
		says 'RLIMIT_NOFILE|too many open files'
	done
	run_criu restore -d -D set
	[ $status -eq 0 ] || fail "not within 64 descriptors"
	passes
}

# short OPTION NUMBER ARGUMENT ...: with that limit of ulimit.
short() {
	printf '#!/bin/sh\nulimit %s %s\nexec %s "$@"\n' "$1" "$2" "$criu" >short.sh
	chmod 755 short.sh
	shift 2
	criu=./short.sh refused "$@"
}

# RLIMIT_FSIZE sends a signal besides.
case_limit_of_file_sizes() {
	start plain
	mkdir set
	short -Sf 8 dump -t "$pid" -D set
	says 'pages-[0-9]+.img in /.*/set: file too large' '^hint: .*ulimit -f'
	nothing_in set
	untouched
}

# Sanitizers need memory and tracing for themselves.
unsanitized() {
	[ -z "${ASAN_OPTIONS:-}" ] || exit 77
}

case_not_enough_memory() {
	unsanitized
	start plain
	mkdir set
	short -v 60000 dump -t "$pid" -D set
	says 'cannot allocate memory' '^hint: .*ulimit -v'
	nothing_in set
	untouched
}

# Two at once: one is made, the other is refused and harms neither the tree nor the first.
case_two_dumps_at_once() {
	local n first
	start plain
	for ((n = 0; n < 10; n++)); do
		rm -rf set other && mkdir set other
		timeout 60 "$criu" dump -t "$pid" -D other -R -o dump.log </dev/null >other.said 2>&1 &
		first=$!
		run_criu dump -t "$pid" -D set -R -o dump.log
		[ $status -eq 0 ] || { says 'traced by pid [0-9]+ \(criu\)'; nothing_in set; }
		wait $first
		[ $? -eq 0 ] || { mv other.said said; says 'traced by pid [0-9]+ \(criu\)'; nothing_in other; }
		[ -e set/inventory.img ] || [ -e other/inventory.img ] || fail "neither was made"
	done
	untouched
}

# Known before the tree is stopped for nothing.
case_image_directory_read_only_or_gone() {
	start plain
	mkdir set
	mount -t tmpfs -o ro small set || exit 77
	refused dump -t "$pid" -D set -v4 -o "$PWD/dump.log"
	says 'read-only file system'
	! grep -q 'stage freeze' dump.log || fail "the tree was stopped"
	umount set
	cd set && rmdir ../set
	timeout 60 "$criu" dump -t "$pid" -v4 -o ../dump.log </dev/null >../said 2>&1
	status=$?
	cd ..
	[ $status -eq 1 ] || fail "status $status"
	says 'has been removed|no such file'
	untouched
}

# Whatever does not fit, from the first image to the last one.
case_disk_full() {
	local size room
	mkdir set
	start plain
	for size in 8k 64k 512k 1m 2m 3m 4m 8m 1m; do
		mount -t tmpfs -o size=$size small set || exit 77
		run_criu dump -t "$pid" -D set -R -o ../dump.log
		if [ $status -ne 0 ]; then
			says 'no space left|full'
			nothing_in set
		else
			[ -e set/inventory.img ] || fail "success without inventory.img"
			room=1
		fi
		umount set
	done
	[ -n "${room:-}" ] || fail "no size was enough"
	untouched
}

case_finished_set_is_there() {
	mkdir set
	start plain
	run_criu dump -t "$pid" -D set -R -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	(cd set && cksum -- *.img) >before
	refused dump -t "$pid" -D set -R -v4 -o dump.log
	says '\bset\b' 'inventory.img|already|finished' '^hint:'
	(cd set && cksum -- *.img) | cmp -s before - || fail "the finished set was changed"
	untouched
}

# Ctrl-C at moments all over a dump: undone, or carried to its end.
case_interrupted_dump() {
	local i at tree undone=0
	start plain
	count_processes
	tree=${#others[@]}
	for ((i = 0; i < 40; i++)); do
		rm -rf set && mkdir set
		printf -v at '0.%04d' $((i * 5))
		env --default-signal=INT "$criu" dump -t "$pid" -D set -R -v4 -o dump.log </dev/null >said 2>&1 &
		sleep $at
		kill -INT $! 2>/dev/null
		wait $!
		status=$?
		nobody_left $tree || fail "interrupted after $at s: ${others[*]} are left"
		# A signal behind the commit point may still end the tool itself.
		[ -e set/inventory.img ] && continue
		[ $status -ne 0 ] || fail "success without inventory.img"
		[ $status -eq 130 ] || says 'interrupted'
		nothing_in set
		undone=$((undone + 1))
	done
	[ $undone -gt 0 ] || fail "no signal came early enough"
	untouched
}

# Ctrl-C while a dump waits for requests to complete.
case_interrupted_wait() {
	local what
	for what in aio uring; do
		start waiting $what
		rm -rf set && mkdir set
		env --default-signal=INT "$criu" dump -t "$pid" -D set --io-wait 50 -v4 -o dump.log </dev/null >said 2>&1 &
		until grep -qs 'State:.t' /proc/$pid/status; do sleep 0.01; done
		sleep 0.3
		kill -INT $!
		SECONDS=0
		wait $! && fail "it succeeded"
		says 'interrupted'
		[ $SECONDS -lt 30 ] || fail "it waited on for $SECONDS s"
		nothing_in set
		untouched
		rm out
	done
}

# start_as_other KIND ...: a victim with the ids of somebody else, and no capability.
start_as_other() {
	chmod 777 .
	setsid setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set=-all "$bin/victim" "$@" </dev/null >out 2>&1 &
	pid=$!
	disown
	await_ready
}

# Root without one capability: what needs it is refused by its name, nothing waits for what cannot be done.
case_missing_capability() {
	local each real=$criu
	start_as_other plain
	mkdir set
	criu=./without
	for each in kill setgid setuid sys_ptrace; do
		printf '#!/bin/sh\nexec setpriv --bounding-set=-%s %s "$@"\n' $each "$real" >without
		chmod 755 without
		refused dump -t "$pid" -D set
		says "cap_$each"
		nothing_in set
	done
	printf '#!/bin/sh\nexec setpriv --bounding-set=-kill %s "$@"\n' "$real" >without
	run_criu dump -t "$pid" -D set -R -o dump.log
	[ $status -eq 0 ] || fail "without CAP_KILL, and nobody to end"
	rm -rf set
	mkdir set
	criu=$real
	run_criu dump -t "$pid" -D set -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	nobody_left || fail "after the dump ${others[*]} are left"
	criu=./without
	for each in kill setgid setuid setpcap sys_ptrace; do
		printf '#!/bin/sh\nexec setpriv --bounding-set=-%s %s "$@"\n' $each "$real" >without
		restore_refused
		says "pid $pid" "cap_$each"
	done
	criu=$real
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the set cannot be restored afterwards"
	untouched
}

# Rights that a restore has given up for good.
case_restore_without_new_rights() {
	local real=$criu
	start_as_other plain
	mkdir set
	run_criu dump -t "$pid" -D set -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	nobody_left || fail "after the dump ${others[*]} are left"
	printf '#!/bin/sh\nexec setpriv --no-new-privs %s "$@"\n' "$real" >without
	chmod 755 without
	criu=./without
	restore_refused
	says "pid $pid.*: the restorer runs with no_new_privs, which cannot be taken back" '^hint: .*setpriv'
	criu=$real
	run_criu restore -d -D set
	[ $status -eq 0 ] || fail "the hint does not help"
	untouched
}

# What the tree may never have again is told, for nobody can give it back.
case_restore_with_smaller_bounding_set() {
	local real=$criu
	make_set
	printf '#!/bin/sh\nexec setpriv --bounding-set=-syslog --inh-caps=-syslog %s "$@"\n' "$real" >without
	chmod 755 without
	criu=./without
	restore_refused
	says 'has capabilities that cannot be given here: cap_syslog' '^hint: restore with these capabilities'
	edit "set/core-$pid.img" thread_core.creds.cap_prm=[] thread_core.creds.cap_prm.0=0 thread_core.creds.cap_prm.1=0 \
		thread_core.creds.cap_eff=[] thread_core.creds.cap_eff.0=0 thread_core.creds.cap_eff.1=0 ||
		fail "cannot change the set"
	for each in set/core-*.img; do
		edit "$each" thread_core.creds.cap_prm=[] thread_core.creds.cap_prm.0=0 thread_core.creds.cap_prm.1=0 \
			thread_core.creds.cap_eff=[] thread_core.creds.cap_eff.0=0 thread_core.creds.cap_eff.1=0 ||
			fail "cannot change the set"
	done
	run_criu restore -d -D set -v2
	[ $status -eq 0 ] || fail "it should only be warned of"
	says "Warn .*pid $pid.*: its bounding set loses what is not there to give: cap_syslog"
	untouched
}

# As in a container whose filter forbids all calls for keys, or whose kernel has none.
case_restore_without_keys() {
	local each real=$criu
	for each in 1 38; do
		rm -rf set out
		criu=$real make_set
		cat >without <<-END
			#!/usr/bin/python3
			import ctypes, os, struct, sys
			code = [(0x20, 0, 0, 0)] + [(0x15, 3 - i, 0, 248 + i) for i in range(3)]
			code += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x50000 | $each)]
			text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
			program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(text))
			if ctypes.CDLL(None).prctl(22, 2, program, 0, 0):
			    sys.exit("no filter")
			os.execv("$real", ["criu", *sys.argv[1:]])
		END
		chmod 755 without
		criu=./without
		run_criu restore -d -D set -v4 -o restore.log
		[ $status -eq 0 ] || fail "keys are not needed: $(tail -3 set/restore.log)"
		untouched
		count_processes
		[ ${#others[@]} -eq 0 ] || kill -KILL "${others[@]}" 2>/dev/null
		nobody_left || fail "${others[*]} are left"
	done
}

# opened_with CAPABILITIES GROUP: says so of a file of the set.
opened_with() {
	edit set/files.img "@reg.name=$PWD/out" reg.opener= reg.opener.{euid,egid,fsuid,fsgid}=0 \
		reg.opener.capabilities="$(($1))" reg.opener.groups=[] reg.opener.groups.0="$2" || fail "cannot change the set"
}

# Of the rights with which a file was opened the restore has to have all that it lacks otherwise.
case_rights_of_openers() {
	local rights real=$criu lacking='setpriv --bounding-set=-dac_override,-setgid,-syslog'
	setsid setpriv --bounding-set=-all "$bin/victim" plain </dev/null >out 2>&1 &
	pid=$!
	disown
	await_ready
	mkdir set
	run_criu dump -t "$pid" -D set -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	nobody_left || fail "after the dump ${others[*]} are left"
	criu=./without
	printf '#!/bin/sh\nexec %s %s "$@"\n' "$lacking" "$real" >without
	chmod 755 without
	rights=0x$($lacking sed -n "s/^CapEff:.//p" /proc/self/status)
	opened_with "$rights | 1 << 34" 7777
	restore_refused
	says 'out: the rights with which it was opened cannot be given here without .*cap_syslog' 'hint: .*capabilities'
	opened_with "$rights" 7777
	restore_refused
	says 'out: the rights with which it was opened cannot be given here without cap_setgid'
	opened_with "$rights | 1 << 1" 7777
	criu=$real
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the set cannot be restored afterwards: $(tail -3 set/restore.log)"
	untouched
}

case_shared_memory_without_capability() {
	local real=$criu
	start_as_other objects
	mkdir set
	criu=./without
	printf '#!/bin/sh\nexec setpriv --bounding-set=-checkpoint_restore,-sys_admin %s "$@"\n' "$real" >without
	chmod 755 without
	refused dump -t "$pid" -D set
	says "pid $pid .*map_files: operation not permitted" '^hint: .*CAP_CHECKPOINT_RESTORE'
	nothing_in set
	untouched
}

# interrupt_when LOG WORDS ARGUMENT ...: a signal as soon as the log has the words.
interrupt_when() {
	local n log=$1 words=$2
	shift 2
	: >$log
	env --default-signal=TERM "$criu" "$@" </dev/null >said 2>&1 &
	for ((n = 0; n < 10000; n++)); do
		grep -qs -- "$words" $log && break
	done
	kill -TERM $! || fail "it had ended when the signal came"
	wait $!
	status=$?
	[ $status -eq 1 ] || fail "status $status"
	says 'interrupted by a signal'
}

# Nobody wants to wait until all the memory is written or read.
case_interrupted_large() {
	mkdir set
	start large 1024
	interrupt_when set/dump.log 'stage look: done' dump -t "$pid" -D set -v4 -o dump.log
	grep -q 'stage infect: failed' set/dump.log || fail "all pages were written before it ended: $(cat set/dump.log)"
	nothing_in set
	run_criu dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	nobody_left || fail "after the dump there is ${others[*]}"
	interrupt_when set/restore.log 'wait until all are ready' restore -d -D set -v4 -o restore.log
	! grep -q 'limits and seals' set/restore.log || fail "all pages were read before it ended"
	nobody_left || fail "there is ${others[*]}"
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the set cannot be restored afterwards"
	untouched
}

case_unsupported_socket() {
	start socket
	mkdir set
	refused dump -t "$pid" -D set
	says "$pid" 'fd 5' 'socket'
	nothing_in set
	untouched
}

# Whether requests are in flight cannot be told: that is refused, not guessed.
case_requests_that_cannot_be_seen() {
	start aio
	mkdir set
	CRIU_MASK_FEATURES=kernel_memory refused dump -t "$pid" -D set
	says "$pid" 'AIO context' 'whether it is idle' 'CAP_BPF'
	nothing_in set
	untouched
}

# All at once: each is listed, by a look at the running tree and in the log of a dump, and nothing else is.
case_everything_unsupported() {
	local words
	start everything
	grep -q '^expect' out || fail "this kernel has none of it"
	sed -n 's/^expect //p' out >expected
	mkdir set
	refused check --pid "$pid"
	while read -r words; do says "pid $pid .*$words"; done <expected
	[ $(grep -c "^pid $pid " said) -eq $(wc -l <expected) ] || fail "not as many as expected: $(cat expected)"
	words=$(awk '/^pid/ { if (last) print last; last = $0 } /^ *hint: / { last = "" } END { print last }' said)
	[ -z "$words" ] || fail "without a hint: $words"
	refused dump -t "$pid" -D set -o dump.log
	says "$pid" "and $(($(wc -l <expected) - 1)) more, see the log"
	mv set/dump.log said 2>/dev/null || mv dump.log said
	while read -r words; do says "pid $pid .*$words"; done <expected
	nothing_in set
	untouched
}

# The kernel's part is played: few are built with core scheduling. Where there is none it is asked once.
case_core_scheduling() {
	local real=$criu tid
	[ -z "${ASAN_OPTIONS:-}" ] || { echo "nothing can be loaded before a sanitizer"; exit 77; }
	start plain
	tid=$(ls "/proc/$pid/task" | grep -vx "$pid" | head -1)
	[ -n "$tid" ] || fail "there is no second thread"
	mkdir set
	criu=./played
	printf '#!/bin/sh\nASKED=%s COOKIE_OF=$COOKIE_OF LD_PRELOAD=%s exec %s "$@"\n' "$PWD/asked.log" "$bin/cookie.so" \
		"$real" >played
	chmod 755 played
	COOKIE_OF=$tid refused dump -t "$pid" -D set -R -o dump.log
	says "pid $pid \(victim\), thread $tid: is in a group of core scheduling, which is not supported"
	nothing_in set
	COOKIE_OF=$tid refused check --pid "$pid"
	says "pid $pid \(victim\), thread $tid: is in a group of core scheduling"
	rm asked.log
	COOKIE_OF= run_criu dump -t "$pid" -D set -R -o dump.log
	[ $status -eq 0 ] || fail "without such groups the dump failed"
	[ "$(wc -c <asked.log)" -eq 1 ] || fail "asked $(wc -c <asked.log) times"
	untouched
}

case_nothing_unsupported() {
	start plain
	run_criu check --pid "$pid"
	[ $status -eq 0 ] || fail "check --pid refuses"
	says "nothing stands in the way .*pid $pid .*2 processes"
	untouched
	refused check --pid "$pid"
	says "$pid"
}

case_option_not_there_yet() {
	start plain
	mkdir set
	refused dump -t "$pid" -D set --lazy-pages
	says '--lazy-pages' 'not supported'
	nothing_in set
	untouched
}

case_unknown_option() {
	refused dump -t 1 --no-such-option
	says 'no-such-option'
}

# OPTION BAD-VALUE ...: each is refused with the option's name and the value, before anything is looked at.
bad_values() {
	local option=$1 each
	shift
	for each; do
		refused restore -d -D nowhere "$option" "$each"
		says "criu: $option: \"$(printf %s "$each" | sed 's/[][\\.*?^$|(){}+]/\\&/g')\""
	done
}

case_path_map_that_is_none() {
	bad_values --path-map '' /a = =/b /a= a=/b /a=b /a=/b=/c /a/./b=/c /..=/c //a=/c '/a\=/b'
}

case_file_policy_that_is_none() {
	bad_values --file-policy '' /a '=any' /a= /a=some '/a=any=' a=any ./a=exact
}

case_pid_is_no_number() {
	local each
	for each in 0 -5 12x '' 99999999999999999999; do
		mkdir -p set
		refused dump -t "$each" -D set
		[ -s said ] || fail "no message for -t '$each'"
		nothing_in set
	done
}

# --- restore --------------------------------------------------------------------------------------------------------

case_empty_directory() {
	mkdir set
	restore_refused
	says 'inventory.img|no image|not an image'
}

case_unfinished_set() {
	make_set
	rm set/inventory.img
	restore_refused
	says 'inventory.img|unfinished'
}

case_truncated_image() {
	make_set
	local each
	for each in set/core-*.img set/mm-*.img set/pagemap-*.img set/pages-*.img set/pstree.img set/files.img set/inventory.img; do
		cp "$each" kept
		truncate -s $(($(stat -c %s "$each") / 2 + 1)) "$each"
		restore_refused
		says "${each##*/}"
		cp kept "$each"
	done
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the mended set cannot be restored"
	untouched
}

case_missing_image() {
	make_set
	local each
	for each in set/core-*.img set/mm-*.img set/pages-*.img set/pstree.img; do
		mv "$each" kept
		restore_refused
		says "${each##*/}"
		mv kept "$each"
	done
}

# A list with nothing in it has no file.
case_missing_list() {
	make_set objects
	local each
	for each in set/*.img; do
		case ${each##*/} in
		fdinfo-* | pagemap-shmem-* | timens-0.img) ;;
		pipes-data.img | fifo-data.img | tty-info.img | tty-data.img | remap-fpath.img | memfd.img) ;;
		*) continue ;;
		esac
		mv "$each" kept
		restore_refused
		says "^criu: restore: ${each##*/} is missing$"
		mv kept "$each"
	done
}

case_other_processor() {
	make_set
	damage machine set || fail "cannot change the set"
	restore_refused
	says 'aarch64|processor|architecture|machine'
}

case_other_cgroup() {
	make_set
	damage core cgroup set || fail "cannot change the set"
	restore_refused
	says 'cgroup' 'manage-cgroups'
	run_criu restore -d -D set -v4 -o restore.log --manage-cgroups=ignore
	[ $status -eq 0 ] || fail "with --manage-cgroups=ignore it should be restored"
	untouched
}

case_security_label() {
	make_set
	damage core label set || fail "cannot change the set"
	restore_refused
	says 'strict-profile'
}

case_processor_state() {
	if grep -qw pku /proc/cpuinfo; then
		echo "this processor has protection keys"
		exit 77
	fi
	make_set
	changes_refused <<-'END'
		mm-PID.img|vmas.0.protection_key=1|has memory under protection keys, which this processor lacks
		mm-PID.img|protection_keys=3|has allocated protection keys, which this processor lacks
		core-PID.img|tc.requested_components=262144|has asked for AMX tiles .*, which this processor lacks
	END
	damage core xstate set || fail "cannot change the set"
	restore_refused
	says 'protection keys'
}

case_processor_image() {
	make_set
	restore_refused --cpu-cap=cpu
	says 'cpuinfo.img'
}

case_unknown_version() {
	make_set
	damage version 7 set || fail "cannot change the set"
	restore_refused
	says 'version' '\b7\b'
}

edit() {
	"${self%/*}/../images/edit-image.py" "$@"
}

# What a table names by PID, TID (a thread of the root), CHILD (a process that is not the root) and HERE.
name_them() {
	child=$(cd set && ls mm-*.img | tr -dc '0-9\n' | grep -vx "$pid" | sort -n | tail -1)
	tid=$(cd set && ls core-*.img | tr -dc '0-9\n' | grep -vxE "$pid|${child:-0}" | sort -n | head -1)
}

named() {
	sed "s/PID/$pid/g; s/TID/$tid/g; s/CHILD/$child/g; s,HERE,$PWD,g" <<<"$1"
}

# changes_refused [OPTION ...]: lines IMAGE|CHANGES|WORDS: with such an image in the set there is nothing to restore, and
# it is told why. Of several images, and their changes, + is between them; an image without changes is removed. A line
# that begins with # is left out.
changes_refused() {
	local images changes words i
	name_them
	cp -r set whole
	while IFS='|' read -r images changes words; do
		[[ $images != "#"* ]] || continue
		rm -rf set && cp -r whole set
		IFS=+ read -ra images <<<"$(named "$images")"
		IFS=+ read -ra changes <<<"$(named "$changes")"
		for i in ${!images[@]}; do
			if [ -z "${changes[i]:-}" ]; then
				rm "set/"${images[i]} || fail "no ${images[i]} to remove"
			else
				edit "set/${images[i]}" ${changes[i]} || fail "cannot change ${images[i]}: ${changes[i]}"
			fi
		done
		restore_refused "$@"
		grep -Eqi -- "$(named "$words")" said || fail "${images[*]} with ${changes[*]}: the message should match /$words/"
	done
	rm -rf set && mv whole set
}

# What is refused while only the images are looked at, and what the kernel makes of the rest.
case_changed_process() {
	make_set
	changes_refused <<-'END'
		mm-PID.img|vmas.0.protection_key=16|under a protection key that does not exist
		mm-PID.img|protection_keys=65537|protection keys 0x10001 that do not exist
		mm-PID.img|protection_keys=3 execute_only_key=1|protection key 1 cannot be the kernel's
		mm-PID.img|execute_only_key=2|protection key 2 cannot be the kernel's
		core-PID.img|tc.requested_components=131072|processor state 0x20000 is not for asking
		core-PID.img|thread_info.gpregs.cs=0|cs 0x0 is no code segment
		core-PID.img|thread_info.gpregs.ss=3|ss 0x3 is no stack segment
		core-PID.img|thread_info.gpregs.ds=1|segment register is not one of a program
		core-PID.img|thread_info.gpregs.ip=18446603336221196288|instruction pointer 0xffff800000000000 is out of range
		core-PID.img|thread_info.gpregs.fs_base=18446603336221196288|fs base 0xffff800000000000
		core-PID.img|thread_info.gpregs.gs_base=18446603336221196288|gs base 0xffff800000000000
		core-PID.img|thread_info.gpregs.flags=12870|flags 0x3246 are not those of a program
		core-PID.img|thread_info.gpregs.mode=2|a 32-bit thread
		core-PID.img|thread_info.gpregs.mode=3|register mode 3 is not known
		core-PID.img|thread_info.debug_registers.0=1|1 debug registers
		core-PID.img|thread_info.debug_registers=[] thread_info.debug_registers.0=18446603336221196288 thread_info.debug_registers.1=0 thread_info.debug_registers.2=0 thread_info.debug_registers.3=0 thread_info.debug_registers.4=0|debug register 0 is 0xffff800000000000
		core-PID.img|thread_info.debug_registers=[] thread_info.debug_registers.0=0 thread_info.debug_registers.1=0 thread_info.debug_registers.2=0 thread_info.debug_registers.3=0 thread_info.debug_registers.4=8192|debug control register is 0x2000
		core-PID.img|thread_info.fpregs.mxcsr=4294967295|mxcsr 0xffffffff has reserved bits
		core-PID.img|thread_info.fpregs.xsave.cet.cet=1 thread_info.fpregs.xsave.cet.ssp=4096|user shadow stack cannot be restored
		core-PID.img|-tc.sigactions.3|61 signal handlers
		core-PID.img|tc.signals_s.signals=[] tc.signals_s.signals.0.siginfo=0x:0a00|a pending signal of 2 bytes
		core-PID.img|thread_core.restart_code=5|cannot be made again with code 5
		core-PID.img|thread_core.seccomp_mode=2 thread_core.seccomp_filter=0|seccomp filter 0 of 0
		core-PID.img+seccomp.img|thread_core.seccomp_mode=2 thread_core.seccomp_filter=1+seccomp_filters.0.filter=0x:060000000000ff7f|seccomp filter 1 of 1
		core-PID.img+seccomp.img|thread_core.seccomp_mode=2 thread_core.seccomp_filter=0+seccomp_filters.0.filter=0x:060000000000ff7f seccomp_filters.0.prev=0|filter 0 follows filter 0, which is not before it
		core-PID.img|thread_core.user_dispatch.selector=18446603336221196288 thread_core.user_dispatch.offset=0 thread_core.user_dispatch.length=0|user dispatch with a byte or a range outside of user space
		core-PID.img|thread_core.creds.lsm_profile=strict|security label strict
		core-PID.img|thread_core.sched_policy=77|scheduling policy 77 is not known
		core-PID.img|thread_core.sched_policy=1 thread_core.sched_prio=200|priority 200
		core-PID.img|thread_core.sched_nice=99|nice
		core-PID.img|thread_core.io_prio=65535|set I/O priority
		core-PID.img|thread_core.sas.ss_sp=4096 thread_core.sas.ss_size=1 thread_core.sas.ss_flags=0|set the alternate signal stack
		core-PID.img|thread_core.mempolicy.mode=99|the memory policy 0x63 is not known
		core-PID.img|thread_core.mempolicy.mode=49153|the memory policy 0xc001 is not known
		mm-PID.img|vmas.0.policy.mode=77|a NUMA policy that is not known
		mm-PID.img|vmas.0.fdflags=1|of a file that cannot be read
		core-PID.img|thread_core.creds.fsuid=4294967295|4294967295 is the id of nobody
		core-PID.img|thread_core.creds.groups=[] thread_core.creds.groups.0=4294967295|4294967295 is the id of nobody
		core-PID.img|thread_core.mce_kill=77|machine check policy 77
		core-PID.img|thread_core.pdeath_sig=99|signal 99 does not exist
		core-PID.img|thread_core.futex_rla_len=7|robust
		core-PID.img|thread_core.rseq_entry.rseq_abi_pointer=3|register restartable sequences at 0x3
		core-PID.img|thread_core.request_keyring=77|request_key\(\) puts keys 77
		core-PID.img|tc.oom_score_adj=5000|oom
		core-PID.img|tc.oom_score_adj_min=1001|oom_score_adj_min 1001 is out of range
		core-PID.img|tc.exit_signal=99|signal 99 does not exist
		core-PID.img|tc.mdwe=77|writable and executable
		core-PID.img|tc.membarrier_registration_mask=2147483648|membarrier
		core-PID.img|tc.rlimits.rlimits.7.cur=5000000 tc.rlimits.rlimits.7.max=4000000|limit
		core-PID.img|tc.timers.real.vusec=9999999|timer
		core-PID.img|tc.comm=a-name-that-is-too-long|name of the process is too long
		mm-PID.img|exe_file_id=99999|the executable, file 99999, is not there
		mm-PID.img|mm_brk=1|brk
		mm-PID.img|mm_arg_start=18446603336221196288|arg
		mm-PID.img|vmas.0.shmid=99999|file 99999 is not there
		mm-PID.img|vmas.2.end=1|not at page boundaries
		mm-PID.img|vmas.-2.status=521|its vdso is another kernel's, and the set does not hold its code
		mm-PID.img|vmas.-2.status=521 vmas.-2.end=140737488351232|a vdso of [0-9]+ bytes
		mm-PID.img|vmas.0.flags=939786274|huge pages of 16 kB are needed, which this machine lacks
		mm-PID.img|dumpable=7|dumpable
		mm-PID.img|aios.0.id=4096 aios.0.nr_req=1 aios.0.ring_len=4096|AIO ring 0x1000 has no mapping
		fs-PID.img|cwd_id=99999|working directory, file 99999
		fs-PID.img|root_id=99999|99999
		pstree.img|pid=0|pid 0
		pstree.img|pid=4194304|pid 4194304 is out of range
		pstree.img|@pid=CHILD sid=4194304|session 4194304 or process group [0-9]+ is out of range
		pstree.img|@pid=CHILD pgid=TID|TID is a thread and the leader of a session or group as well
		pstree.img|threads.1=1|core-1.img is missing
		fdinfo-2.img|fd=4294967295|fd
		fdinfo-2.img|id=77777|77777
		fdinfo-2.img|flags=99|flags
		core-PID.img|thread_info.gpregs.mode=9|register mode 9
		core-PID.img|thread_info.fpregs.cwd=65536|a control word of the floating point unit is out of range
		core-PID.img|thread_info.fpregs.st_space=[]|the floating point registers are incomplete
		core-PID.img|thread_info.fpregs.xsave.ymmh_space=[] thread_info.fpregs.xsave.xstate_bv=7|component 2 of the vector registers is missing
		core-PID.img|thread_info.tls.0.entry_number=15|TLS segment 15 does not exist
		core-PID.img|tc.signals_s.signals=[] tc.signals_s.signals.0.siginfo=0x:6300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000|pending signal 99 does not exist
		core-PID.img|thread_core.creds.cap_prm=[]|a capability set has not two words
		core-PID.img|thread_core.seccomp_mode=2|seccomp mode filter without a filter
		core-PID.img|thread_core.io_privilege=4|I/O privilege level 4 does not exist
		core-PID.img|thread_core.cpu_affinity=0x:|a processor mask of 0 bytes
		core-PID.img|thread_core.rseq_entry.rseq_abi_pointer=4096 thread_core.rseq_entry.rseq_abi_size=31|an rseq area of 31 bytes at 0x1000
		core-PID.img|thread_core.comm=a-name-that-is-too-long|the name of the thread is too long
		core-PID.img|thread_core.sas.ss_flags=64|unknown flags 0x40 of the alternate signal stack
		core-PID.img|-tc|the state of the process is missing
		core-PID.img|-thread_core.creds|the credentials of the leader are missing
		core-PID.img|tc.vfork_child=CHILD|waits for the end of its vfork by CHILD, which cannot be
		core-PID.img+seccomp.img|thread_core.seccomp_mode=2 thread_core.seccomp_filter=0+seccomp_filters.0.filter=0x:060000000000ff7f seccomp_filters.0.flags=4096|filter 0 has unknown flags 0x1000
		mm-PID.img|vmas=[]|holds no mapping
		mm-PID.img|vmas.0.status=134217729|memory of a device
		fs-PID.img|umask=4096|umask 010000 is out of range
		pstree.img|ppid=77|comes first and is not the root
		pstree.img|@pid=CHILD ppid=0|CHILD is a second root
		pstree.img|threads.1=4194304|tid 4194304 is out of range
		pstree.img|threads.1=CHILD|CHILD is there twice
		pstree.img|@pid=PID sid=CHILD|process CHILD is not the leader of session CHILD
		ids-CHILD.img|uts_ns_id=77|is in a uts namespace of its own
		inventory.img|lsmtype=77|security module 77 is not known
		inventory.img|-root_ids.uts_ns_id|does not say which uts namespace the dump was in
		fdinfo-2.img|type=77|type 77 is not known
		fdinfo-2.img|type=13|of another type
		timens-0.img|monotonic.tv_nsec=9999999999|a clock reading is out of range
		core-CHILD.img|tc.task_state=2|a zombie with registers or thread state
		core-PID.img|tc.task_state=2 -thread_info -thread_core|its parent PID is a zombie
		core-PID.img|-tc.rlimits|0 resource limits, not 16
		ids-PID.img+ids-CHILD.img|vm_id=5+vm_id=5|two processes share one address space
		ids-CHILD.img|net_ns_id=77|is in a network namespace of its own
	END
}

case_changed_locks() {
	echo one >one
	exec 9<one
	flock 9
	mkdir set
	start plain
	exec 9<&-
	run_criu dump -t "$pid" -D set -v4 -o dump.log --file-locks
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	changes_refused --file-locks <<-'END'
		filelocks.img|fd=7777|filelocks.img: pid [0-9]+ has no descriptor 7777
		filelocks.img|pid=7777|filelocks.img: pid 7777 has no descriptor 9
		filelocks.img|pid=-1|filelocks.img: pid -1 has no descriptor 9
		filelocks.img|type=77|fd 9: locks of type 77 are not supported
		filelocks.img|flag=8 type=24|fd 9: locks of type 24 are not supported
		filelocks.img|start=-1|locks of type [0-9]+ are not supported
		filelocks.img|len=-1|locks of type [0-9]+ are not supported
		filelocks.img|flag=77|flock|lock
	END
	run_criu restore -d -D set -v4 -o restore.log --file-locks
	[ $status -eq 0 ] || fail "as it was it cannot be restored"
	untouched
}

# Two processes share a descriptor table, and neither creates the other.
case_changed_tables() {
	make_set many 1
	changes_refused <<-'END'
		ids-CHILD.img+core-CHILD.img|files_id=3+tc.exit_signal=10|pid [0-9]+ shares its descriptor table with pid [0-9]+, which is not the one that creates it
	END
}

case_changed_files() {
	make_set objects
	mkfifo -m 600 a_fifo
	changes_refused <<-'END'
		files.img|@reg.name=HERE/out reg.name=HERE/a_fifo reg.mode=4480 -reg.size -reg.identity|is a fifo, and the images have it open as a file
		remap-fpath.img|remap_type=2 remap_id=7777|is no file of a process
		files.img|@efd efd.counter=18446744073709551615|the counter of an eventfd cannot be that large
		files.img|@ffy -ffy.mark.0.me.path|the images do not say which mount it watches
		files.img|@ffy ffy.mark.0.me.path=/nowhere|/nowhere, which it watches: No such file
		files.img|@fifo -fifo.regf_id|its path, file [0-9]+, is not there
		files.img|@nsf nsf.ns_id=7777|a net namespace that the root does not live in
		files.img|@pidfd pidfd.flags=128 pidfd.nspid=7777|stands for thread 7777, which is not in the images
		files.img|@pidfd pidfd.flags=128 pidfd.nspid=TID|stands for thread TID, and is not of the thread's process alone
		files.img|@reg.name=HERE/removed reg.name=/|/: is not an absolute path
		files.img|@tfd tfd.vsec=9000000000000000000|a timerfd has impossible times
		files.img|@tfd tfd.isec=9000000000000000000|a timerfd has impossible times
		ghost-file-*.img||ghost-file-[0-9a-f]+.img is missing
		files.img|@efd efd.fown.signum=99|its owner is out of range
		files.img|@efd efd.fown.pid_type=9|owner
		files.img|@epfd epfd.tfd.0.target_id=77777|an epoll watches file 77777, which nobody has open
		files.img|@epfd epfd.tfd.0.tfd=7777|7777
		files.img|@fifo fifo.regf_id=7777|its path, file 7777, is not there
		files.img|@ify ify.wd.0.wd=0|a watch of inotify cannot have number 0
		files.img|@ify ify.wd.0.wd=4294967295|a watch of inotify cannot have number 4294967295
		files.img|@ify ify.next_wd=4294967295|the next watch of inotify cannot have number 4294967295
		files.img|@memfd memfd.inode_id=7777|its memory, inode 7777, is not there
		files.img|@nsf nsf.ns_cflag=1|a namespace of unknown kind 1
		files.img|@pidfd pidfd.nspid=7777|a pidfd stands for process 7777, which is not in the images
		files.img|@pipe type=13|type
		files.img|@reg reg.name=relative/path|its path is not absolute
		files.img|@reg reg.kept_flock=3|no lock of flock\(2\) is of type 3
		files.img|@reg reg.kept_flock=2 reg.kept_flock_pid=7777|its lock is kept by process 7777, which is not in the images
		files.img|@tfd tfd.clockid=99|no timerfd has clock 99
		files.img|@tfd tfd.clockid=4|no timerfd has clock 4
		files.img|@epfd epfd.tfd.0.tfd=9 epfd.tfd.1.tfd=9|target 9 is there twice
		files.img|@efd efd.fown.pid=7777|its signals go to process 7777, which is neither in the images nor here
		files.img|@efd efd.fown.pid=4194304|its owner is out of range
		files.img|@memfd memfd.pos=9223372036854775808|a position that no file has
		ghost-file-1.img|uid=4294967295|it belongs to nobody
		ghost-file-1.img|mtim.tv_usec=1000000|a time is out of range
		ghost-file-1.img|atim.tv_usec=18446744073709551615|a time is out of range
		ghost-file-1.img|size=5|16 bytes of content, not 5
		ghost-file-1.img|reserved.0.offset=0 reserved.0.bytes=0|space that no file can have
		ghost-file-1.img|reserved.0.offset=1 reserved.0.bytes=9223372036854775807|space that no file can have
		ghost-file-1.img|reserved.0.offset=0 reserved.0.bytes=4611686018427387904|the deleted file needs [0-9]+ bytes, and there is room for
		files.img|@tfd tfd.vnsec=4000000000|a time is out of range
		files.img|@tty tty.tty_info_id=7777|the images do not describe terminal 7777
		files.img|@tty tty.regf_id=7777|its path, file 7777, is not there
		files.img|@tty -tty.regf_id|the images do not say which path it has
		tty-info.img|-pty|has no number
		tty-info.img|pty.index=9999|has no number
		tty-info.img|-termios|its settings are missing
		tty-info.img|-termios.c_cc.0|its settings are incomplete
		tty-info.img|type=2|is no end of a pair
		tty-info.img|id=7776|the images do not describe terminal
		memfd.img|hugetlb_flag=77|huge pages of [0-9]+ kB are needed, [0-9]+ are left
		memfd.img|hugetlb_flag=939524100|huge pages of 16 kB are needed, which this machine lacks
		memfd.img|seals=65536|seal
		memfd.img|reserved_offset.0=0 reserved_bytes.0=1152921504606846976|memfd .*: more space is reserved for it than this machine has memory
		memfd.img|reserved_offset.0=4096 reserved_bytes.0=9223372036854775807|space is reserved out of range
		remap-fpath.img|remap_id=77777|ghost
		remap-fpath.img|orig_id=77777|77777
		remap-fpath.img|remap_type=9|remap
		remap-fpath.img|remap_type=0|link
		fifo-data.img|pipe_id=7777|pipe
		pipes-data.img|pipe_id=7777|pipe
		pipes-data.img|size=3|11 bytes in a pipe for 3
		files.img|@efd efd.id=7777|its content has id 7777
		files.img|@efd type=77|type 77
		files.img|@ify ify.wd.0.f_handle.bytes=200|a file handle of 200 bytes
		files.img|@epfd epfd.tfd.0.tfd=4294967295|target 4294967295 is no descriptor
		ghost-file-1.img|chunks=1 -size|content in pieces without the size of the whole
		ghost-file-1.img|mode=420|mode 0644 is no kind of file
		ghost-file-1.img|mode=41471|a symbolic link without a target
		remap-fpath.img|remap_type=2 remap_id=0|pid 0 is out of range
		pipes-data.img|packets.0=5 packets.1=6 stream_bytes.0=1|2 packets, but 1 streams before them
		pipes-data.img|packets.0=3|packets of 3 bytes, not of 11
		memfd.img|size=0|holds pages beyond the end of the memory
		tty-info.img|pty.index=0 other_output.column=4294967295|its cursor is nowhere
		files.img|@ffy -ffy.mark.0.me|mark 0 does not say what it is on
	END
}

# The content of a small one ends where its image does.
case_deleted_file_cut_off() {
	make_set objects
	cp set/ghost-file-1.img kept
	truncate -s -1 set/ghost-file-1.img
	restore_refused
	says 'ghost-file-1.img: .*15 bytes of content, not 16'
	cp kept set/ghost-file-1.img
	echo >>set/ghost-file-1.img
	restore_refused
	says 'ghost-file-1.img: .*17 bytes of content, not 16'
}

# Small files with holes: nothing is read or written before it is known that there is room.
case_large_holes() {
	local each
	make_set objects
	for each in ghost-file-1 pipes-data fifo-data; do
		cp set/$each.img kept
		[ $each != ghost-file-1 ] || edit set/$each.img -size || fail "cannot change the set"
		truncate -s 4T set/$each.img || exit 77
		restore_refused
		[ $each = ghost-file-1 ] && says 'the deleted file needs 439[0-9]+ bytes, and there is room for' ||
			says "$each.img: its 439[0-9]+ bytes do not fit into this machine's memory"
		! grep -q 'fork: the tree' set/restore.log || fail "processes were made"
		cp kept set/$each.img
	done
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "as it was it cannot be restored"
	untouched
}

# A timer that the kernel does not make.
case_changed_timers() {
	local timer="tc.timers.posix.0"
	timer="$timer.it_id=1 $timer.sival_ptr=0 $timer.overrun=0 $timer.isec=0 $timer.insec=0 $timer.vsec=9 $timer.vnsec=0"
	make_set
	sed "s/TIMER/$timer/; s/@/tc.timers.posix.0/g" <<-'END' >table
		core-PID.img|TIMER @.clock_id=4 @.si_signo=10 @.it_sigev_notify=0|timer 1: no timer has clock 4
		core-PID.img|TIMER @.clock_id=4294967295 @.si_signo=10 @.it_sigev_notify=0|timer 1: no timer has clock -1
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=5|timer 1: notification 5 is not known
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=4|timer 1: notification 4 is not known
		core-PID.img|TIMER @.clock_id=1 @.si_signo=0 @.it_sigev_notify=0|timer 1: signal 0 does not exist
		core-PID.img|tc.next_timer_id=2147483648|timer id 2147483648 is out of range
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=0 @.it_id=4294967295|timer id 4294967295 is out of range
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=0 @.vnsec=1000000000|timer 1: a time is out of range
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=0 @.wall_ns=5|timer 1: a time of the wall clock that it cannot have
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=0 @.missed=4294967295|timer 1: 4294967295 missed expiries
		core-PID.img|TIMER @.clock_id=1 @.si_signo=10 @.it_sigev_notify=4 @.notify_thread_id=77|timer 1: thread 77 is not one of the process
	END
	changes_refused <table
}

case_changed_asynchronous_io() {
	make_set async
	changes_refused <<-'END'
		files.img|@io_uring io_uring.rings=0x:00|the rings of an io_uring are cut short
		files.img|@io_uring io_uring.rings=0x:*ff|the counters of an io_uring are out of range
		files.img|@io_uring io_uring.sqes=0x:00|the rings of an io_uring have another size
		files.img|@io_uring -io_uring.offsets.0|an io_uring of an impossible shape
		files.img|@io_uring io_uring.sq_entries=3|an io_uring of an impossible shape
		files.img|@io_uring io_uring.setup_flags=2147483648|an io_uring of an impossible shape
		files.img|@io_uring io_uring.sq_entries=1|size
		files.img|@io_uring io_uring.file_slots=1 io_uring.files.0.slot=9 io_uring.files.0.fd=0|file slot 9 of an io_uring is out of range
		files.img|@io_uring io_uring.file_slots=1 io_uring.files.0.slot=0 io_uring.files.0.fd=7777|register 1 files
		files.img|@io_uring io_uring.buffer_slots=1 io_uring.buffers.0.slot=9 io_uring.buffers.0.address=4096 io_uring.buffers.0.bytes=4096|buffer slot 9 of an io_uring is out of range
		files.img|@io_uring io_uring.file_slots=1048577|an io_uring has too many slots
		files.img|@io_uring io_uring.buffer_slots=1048577|an io_uring has too many slots
		files.img|@io_uring io_uring.offsets.0=2|the rings of an io_uring are cut short
		files.img|@io_uring io_uring.offsets.3=8|this kernel lays the rings of an io_uring out in another way
		files.img|@io_uring io_uring.numbers.0.tid=7777 io_uring.numbers.0.number=1|thread 7777 has a number for an io_uring that it has not open
		files.img|@io_uring io_uring.owner_pid=CHILD|the process that made an io_uring, pid CHILD, does not have it open
		files.img|@io_uring io_uring.numbers.0.tid=PID io_uring.numbers.0.number=99|impossible number for an io_uring
		files.img|@io_uring io_uring.owner_pid=7777|the process that made an io_uring, pid 7777, does not have it open
		files.img|@io_uring io_uring.eventfd=7777|7777
		files.img|@io_uring io_uring.clock_id=99|clock
		mm-PID.img|aios=[]|AIO
		mm-PID.img|aios.0.nr_req=4294967295|has no room for 4294967295 requests
		mm-PID.img|aios.0.ring_len=4097|AIO
		mm-PID.img|aios.0.id=4096|AIO
	END
}

# Its ring is memory like any other in the images: the head that programs keep there.
case_changed_aio_ring() {
	local word
	make_set async
	cp -r set whole
	for word in 1 2 3; do # slots, head, tail
		rm -rf set && cp -r whole set
		python3 - $word set/pages-*.img <<-'END' || fail "there is no ring in the images"
			import struct, sys
			word, found = int(sys.argv[1]), False
			for path in sys.argv[2:]:
			    data = bytearray(open(path, 'rb').read())
			    for at in range(0, len(data), 4096):
			        if struct.unpack_from('<I', data, at + 16)[0] == 0xa10a10a1:
			            struct.pack_into('<I', data, at + 4 * word, 1 << 20)
			            found = True
			    open(path, 'wb').write(data)
			sys.exit(not found)
		END
		restore_refused
		says "AIO context 0x[0-9a-f]+: its ring is damaged"
	done
}

# Which pages there are, and where.
case_changed_pages() {
	local parent
	make_set
	changes_refused <<-'END'
		pagemap-PID.img|@vaddr vaddr=1|pagemap-PID.img: record 2 at byte 14: address 0x1 is not at a page boundary
		pagemap-PID.img|@vaddr vaddr=4096|pagemap-PID.img: holds pages outside of private mappings
		pagemap-PID.img|@vaddr flags=1|pages-1.img is too long: [0-9]+ bytes for the [0-9]+ pages of pagemap-PID.img
		pagemap-PID.img|@vaddr nr_pages=9999999|pagemap-PID.img: record 3 at byte [0-9]+: 0x[0-9a-f]+ is below the end of the entry before
		pagemap-PID.img|pages_id=77|pagemap-PID.img: its pages-77.img is missing
		mm-PID.img|vmas.0.status=1025|does not say how it is backed
	END
	FORM=chain CRTOOLS_IMAGE_DIR=set "${self%/*}"/../images/older-set.py set || fail "cannot make a chain"
	parent=$(readlink set/parent)
	ln -sfn nowhere set/parent
	restore_refused
	says "$PWD/set: the link .parent. leads nowhere|set: the link .parent. leads nowhere"
	ln -sfn . set/parent
	restore_refused
	says 'set: the links .parent. go in a circle'
	ln -sfn ../out set/parent
	restore_refused
	says 'set: cannot open the parent image set: Not a directory'
	ln -sfn "$parent" set/parent
	run_criu restore -d -D set
	[ $status -eq 0 ] || fail "as it was it cannot be restored"
	untouched
}

# Another kind of processor, or none that is known.
case_changed_cpuinfo() {
	mkdir set
	start plain
	run_criu dump -t "$pid" -D set -v4 -o dump.log --cpu-cap=all
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	changes_refused --cpu-cap=all <<-'END'
		cpuinfo.img|x86_entry=[]|cpuinfo.img describes no x86 processor
		cpuinfo.img|x86_entry.0.capability_ver=99|cpuinfo.img has version 99 with [0-9]+ words, which is unknown
		cpuinfo.img|x86_entry.0.capability=[]|cpuinfo.img has version [0-9]+ with 0 words, which is unknown
		cpuinfo.img|x86_entry.0.capability.0=4294967295|this processor (differs in|lacks): [a-z0-9_]+
	END
	edit set/cpuinfo.img x86_entry.0.capability.0=4294967295 || fail "cannot change the set"
	restore_refused --cpu-cap=all
	says 'hint: --cpu-cap says what must match'
	run_criu restore -d -D set --cpu-cap=none
	[ $status -eq 0 ] || fail "with --cpu-cap=none it should be restored"
	untouched
}

# What the inventory asks for.
case_inventory() {
	local changes words
	make_set
	cp -r set whole
	while IFS='|' read -r changes words; do
		rm -rf set && cp -r whole set
		edit set/inventory.img $changes || fail "cannot change the set"
		restore_refused
		says "$words"
	done <<-'END'
		-fdinfo_per_id|too old
		fdinfo_per_id=0|too old
		root_cg_set=0|cgroup set 0
		img_version=0 pre_dump_mode=1|pre-dump
		img_version=3|version 3
		tcp_close=1|--tcp-close
		allow_uprobes=1|--allow-uprobes
		network_lock_method=7|lock method 7
		plugins_entry.plugins=amdgpu_plugin|amdgpu_plugin
		-root_ids|ids of the dumping process
	END
	rm -rf set && cp -r whole set
	edit set/inventory.img -ns_per_id -root_cg_set -lsmtype -network_lock_method \
		-plugins_entry -dump_criu_run_id allow_uprobes=1 || fail "cannot change the set"
	run_criu restore -d -D set -v4 -o restore.log --allow-uprobes
	[ $status -eq 0 ] || fail "what old versions did not write is not needed"
	untouched
}

# The thread whose child a process is has to be one of its parent.
case_parent_tid() {
	local each
	make_set
	cp -r set whole
	for each in 0 1 4194304 4294967295 own; do
		rm -rf set && cp -r whole set
		python3 - "${self%/*}/../images" set/pstree.img "$each" <<-'END' || fail "cannot change the set"
			import sys
			sys.path.insert(0, sys.argv[1])
			import imagefile
			records = imagefile.read_records(sys.argv[2])
			entry = records[-1][0]
			entry['parent_tid'] = entry['pid'] if sys.argv[3] == 'own' else int(sys.argv[3])
			imagefile.write_records(sys.argv[2], records)
		END
		restore_refused
		says 'is not a thread of its parent'
	done
}

# The parent of a detached tree ends at once.
# Whatever signal the root wants at its parent's death: the end of criu is none.
case_death_signal() {
	local each
	for each in 9 10 28; do
		rm -rf set
		make_set
		edit set/core-$pid.img thread_core.pdeath_sig=$each || fail "cannot change the set"
		run_criu restore -d -D set -v4 -o restore.log
		[ $status -eq 0 ] || fail "the restore failed"
		sleep 0.2
		untouched
		count_processes
		[ ${#others[@]} -eq 0 ] || kill -KILL "${others[@]}"
		nobody_left || fail "${others[*]} are left"
	done
}

case_pid_is_taken() {
	mkdir set
	start plain
	run_criu dump -t "$pid" -D set -R -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set"
	refused restore -d -D set -v4 -o restore.log
	says "$pid" 'victim'
	untouched
}

# The kernel gives a number back a moment after its holder is gone. Only the root's creation is seen by strace here.
case_pid_free_a_moment_later() {
	local real=$criu
	unsanitized
	make_set plain
	criu=./later
	printf '#!/bin/sh\nexec strace -qq -o strace.log -e trace=clone3 -e inject=clone3:error=EEXIST:when=$WHEN %s "$@"\n' \
		"$real" >later
	chmod 755 later
	WHEN=1+ restore_refused
	says "pid $pid .*cannot be created: file exists"
	WHEN=1..20 run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "it gave up at once"
	[ "$(grep -c INJECTED strace.log)" -eq 20 ] || fail "nothing was injected"
	passes
}

# Once filters were said to be of the process. Nothing may run with more rights than it had.
case_filters_of_old_sets() {
	local task
	make_set
	edit set/core-$pid.img tc.old_seccomp_mode=2 tc.old_seccomp_filter=0 &&
		edit set/seccomp.img seccomp_filters.0.filter=0x:060000000000ff7f || fail "cannot change the set"
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the restore failed"
	for task in /proc/$pid/task/*; do
		grep -q '^Seccomp:.2$' $task/status || fail "${task##*/} is not under its filter"
	done
	untouched
	count_processes
	kill -KILL "${others[@]}"
	nobody_left || fail "${others[*]} are left"
	edit set/core-$pid.img tc.old_seccomp_mode=77 || fail "cannot change the set"
	restore_refused
	says 'seccomp mode 77 is not known'
	edit set/core-$pid.img tc.old_seccomp_mode=0 thread_core.creds.lsm_sockcreate=label || fail "cannot change the set"
	restore_refused
	says 'its sockets were to get the security label label'
}

# What a restore starts for itself takes the numbers that come next: those of the set must be left free.
case_pids_that_come_next() {
	local ahead
	make_set plain
	for ahead in 2 3 4 5; do
		echo $((pid - ahead)) >/proc/sys/kernel/ns_last_pid || exit 77
		"$criu" restore -d -D set -v4 -o restore.log </dev/null >said 2>&1 || fail "$((ahead - 1)) ahead: it failed"
		count_processes
		kill -KILL "${others[@]}"
		nobody_left || fail "${others[*]} are left"
	done
}

# Ctrl-C right before the tree would be let go.
case_interrupted_restore() {
	make_set
	cat >hook <<-'HOOK'
		#!/bin/sh
		[ "$CRTOOLS_SCRIPT_ACTION" != post-restore ] || kill -INT $PPID
	HOOK
	chmod 755 hook
	env --default-signal=INT "$criu" restore -d -D set -v4 -o restore.log --pidfile "$PWD/pidfile" \
		--action-script "$PWD/hook" </dev/null >said 2>&1
	status=$?
	[ $status -ne 0 ] || fail "criu restore succeeded"
	says 'interrupted'
	nobody_left || fail "there is ${others[*]}"
	[ ! -e pidfile ] || fail "the pidfile is left"
	run_criu restore -d -D set -v4 -o restore.log
	[ $status -eq 0 ] || fail "the set cannot be restored afterwards"
	untouched
}

case_files_missing_or_changed() {
	echo "first file" >first
	echo "second file" >second
	head -c 4096 /dev/zero >third
	make_set files first second third
	rm first third
	echo "longer than it was" >>second
	restore_refused
	# One sentence for the user, all of them in the log.
	says "$pid" 'first|second|third'
	cat set/restore.log >>said
	says 'first' 'fd 3' 'second' 'fd 4' 'third'
	[ ! -e first ] && [ ! -e third ] || fail "the restore made a file"
}

# restored_behind_link OWNER OF_FILES: after a directory on the way to its files has become a link to another one.
restored_behind_link() {
	mkdir -p way/in set
	cd way/in
	start plain
	run_criu dump -t "$pid" -D ../../set
	[ $status -eq 0 ] || fail "cannot make a set"
	nobody_left || fail "after the dump there is ${others[*]}"
	cd ../..
	mv way elsewhere
	ln -s elsewhere way
	chown -h $1 way
	chown -R $2 elsewhere
	run_criu restore -d -D set
}

# Who owns a directory on the way to a file has it lead elsewhere: nobody else's file is opened for him there.
case_link_of_somebody_on_the_way() {
	restored_behind_link 65534 0
	[ $status -ne 0 ] || fail "the restore opens it"
	says "way/in(/out)? leads to a file of user 0 through a symbolic link of user 65534" '^hint: --path-map'
	nobody_left || fail "after a failed restore there is ${others[*]}"
	run_criu restore -d -D set --path-map "$PWD/way=$PWD/elsewhere"
	[ $status -eq 0 ] || fail "the restore by --path-map fails"
	cd elsewhere/in
	passes
}

case_link_to_own_files_on_the_way() {
	restored_behind_link 65534 65534
	[ $status -eq 0 ] || fail "the restore fails"
	cd elsewhere/in
	passes
}

case_link_of_root_on_the_way() {
	restored_behind_link 0 65534
	[ $status -eq 0 ] || fail "the restore fails"
	cd elsewhere/in
	passes
}

# Again and again, by one that looks the same: sometimes between the look and the opening.
case_file_replaced_while_it_is_restored() {
	local n replacer
	make_set
	cp -p out one
	cp -p out other
	printf '#!/bin/sh\n[ $CRTOOLS_SCRIPT_ACTION != post-restore ]\n' >fail
	chmod +x fail
	python3 -c '
import os
while True:
    for each in "one", "other":
        os.link(each, "new")
        os.rename("new", "out")' &
	replacer=$!
	until [ out -ef one ] || [ out -ef other ]; do sleep 0.02; done
	for ((n = 0; n < 300; n++)); do
		run_criu restore -d -D set --action-script ./fail
		[ $status -ne 0 ] || fail "the restore succeeds with a script that fails"
		grep -q "$PWD/out: is another file than when it was checked a moment ago" said && break
	done
	kill -KILL $replacer
	wait $replacer
	nobody_left || fail "after a failed restore there is ${others[*]}"
	[ $n -lt 300 ] || fail "it was never noticed"
}

# Each is named with who needs it, in the log or, where there is none, on standard error; a few in the sentence itself.
# One of the processes works in their directory.
case_all_missing_files_are_named() {
	local count i where kind tasks
	for count in 1 3 200; do
		rm -rf set many out
		make_set many $count
		tasks=($(cd set && ls core-*.img | tr -dc '0-9\n' | sort -n))
		mv many away
		refused restore -d -D set -v4 -o restore.log
		[ $count -gt 2 ] || says '^criu: restore: pid [0-9]+ \(victim\), [^;]*; pid [0-9]+ \(victim\), [^;(]*$'
		[ $count -le 3 ] || says "and $((count - 2)) more, see the log"
		nobody_left || fail "after a failed restore there is ${others[*]}"
		for where in log error; do
			if [ $where = log ]; then
				cat set/restore.log >said
			else
				refused restore -d -D set
			fi
			for ((i = 0; i < count; i++)); do
				kind='fd [0-9]+'
				[ $((i % 2)) -eq 0 ] || kind='mapping [0-9a-f]+-[0-9a-f]+'
				says "$(printf 'pid %d \(victim\), %s, %s/many/%03d: No such file' ${tasks[i % 3]} "$kind" "$PWD" $i)"
			done
			says "pid ${tasks[1]} .victim., working directory, $PWD/many: No such file"
		done
		[ ! -e many ] || fail "the restore made something"
		mv away many
		run_criu restore -d -D set
		[ $status -eq 0 ] || fail "the files are back, and it cannot be restored"
		kill -TERM $pid
		for each in ${tasks[@]}; do kill -KILL $each 2>/dev/null; done
		nobody_left || fail "${others[*]} are left"
	done
}

# Its pages have been given back: a second restore would bring back zeros.
case_set_that_was_used_up() {
	local before after
	make_set
	before=$(du -ck set/pages-*.img | tail -1 | cut -f1)
	run_criu restore -d -D set -v4 -o restore.log --auto-dedup
	[ $status -eq 0 ] || fail "with --auto-dedup it should be restored"
	after=$(du -ck set/pages-*.img | tail -1 | cut -f1)
	[ $before -gt 1000 ] && [ $after -lt $((before / 10)) ] || fail "the pages take $after of $before KiB"
	untouched
	count_processes
	kill -KILL "${others[@]}"
	nobody_left || fail "${others[*]} are left"
	restore_refused
	says 'used up by a restore with --auto-dedup'
}

# Another program does not say that it has given them back.
case_pages_that_are_holes() {
	local each
	make_set
	cp -r set whole
	cp -r set sparse
	for each in sparse/pages-*.img; do
		fallocate -p -o 4096 -l 4096 "$each"
	done
	for each in set/pages-*.img; do
		fallocate -p -o 0 -l "$(stat -c %s "$each")" "$each"
	done
	restore_refused
	says 'pagemap-[0-9]+.img: all of its pages have been given back' '^hint: .*--auto-dedup'
	run_criu restore -d -D whole -v4 -o restore.log
	[ $status -eq 0 ] || fail "a copy cannot be restored"
	! grep holes whole/restore.log || fail "a copy has no holes"
	untouched
	count_processes
	kill -KILL "${others[@]}"
	nobody_left || fail "${others[*]} are left"
	echo READY >out
	run_criu restore -d -D sparse -v4 -o restore.log
	grep -Eq 'pagemap-[0-9]+.img: 1 of its [0-9]+ pages are holes in the image' sparse/restore.log || fail "no warning"
}

# Where the number of blocks tells first whether there are any.
case_pages_that_are_holes_on_tmpfs() {
	mkdir memory
	mount -t tmpfs memory memory && cd memory || fail "no tmpfs"
	case_pages_that_are_holes
}

# Two sets have the same parent: what one gives back the other lacks.
case_parent_that_was_used_up() {
	make_set
	FORM=chain CRTOOLS_IMAGE_DIR=set "$(dirname "$self")"/../images/older-set.py set || fail "cannot make a chain"
	cp -a set other
	run_criu restore -d -D set -v4 -o restore.log --auto-dedup
	[ $status -eq 0 ] || fail "with --auto-dedup it should be restored"
	untouched
	count_processes
	kill -KILL "${others[@]}"
	nobody_left || fail "${others[*]} are left"
	echo READY >out
	refused restore -d -D other -v4 -o restore.log
	says 'other: the parent image set was used up by a restore with --auto-dedup'
}

# mutations_of KIND: one random change each: no crash, no hang, nothing left; what restores nevertheless is a whole tree.
mutations_of() {
	make_set "$1"
	local seed what bad=0 good=0 root before
	before=$(echo *)
	for ((seed = 1; seed <= mutations; seed++)); do
		rm -rf broken pidfile
		cp -r set broken
		what=$(damage mutate $seed broken)
		timeout -k 1 60 "$criu" restore -d -D broken -v4 -o restore.log --pidfile "$PWD/pidfile" </dev/null >said 2>&1
		status=$?
		if [ $status -ge 124 ]; then
			echo "mutation $seed ($what): status $status"
			bad=$((bad + 1))
		elif [ $status -eq 0 ]; then
			root=$(cat pidfile)
			# It may have died since of what the change did to its registers or memory.
			if [ -z "$root" ]; then
				echo "mutation $seed ($what): success and no process id"
				bad=$((bad + 1))
			fi
			good=$((good + 1))
		elif ! nobody_left; then
			echo "mutation $seed ($what): refused, and there is ${others[*]}"
			bad=$((bad + 1))
		elif ! [ -s said ]; then
			echo "mutation $seed ($what): refused without a word"
			bad=$((bad + 1))
		fi
		rm -rf broken pidfile
		if [ "$(echo *)" != "$before" ]; then
			echo "mutation $seed ($what): status $status, and beside $before there are now: $(echo *)"
			bad=$((bad + 1))
			before=$(echo *)
		fi
		count_processes
		for each in "${others[@]}"; do
			kill -KILL "$each" 2>/dev/null
		done
		nobody_left || fail "mutation $seed ($what): processes ${others[*]} cannot be killed"
	done
	echo "$mutations mutations, $good harmless, $bad handled badly"
	[ $bad -eq 0 ]
}

case_mutations() {
	mutations_of plain
}

case_mutations_of_files() {
	mutations_of objects
}

case_mutations_of_asynchronous_io() {
	mutations_of async
}

run_cases "$@"
