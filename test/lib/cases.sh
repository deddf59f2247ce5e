# cases.sh: what scripts with cases share. A case is a function case_NAME, run as the first process of a pid and mount
# namespace of its own, in an empty directory; exit 77 skips it. The script sets suite, self (its own path), criu and
# victim, sources this, defines its cases and ends with: run_cases "$@"

. "$(dirname "${BASH_SOURCE[0]}")/close-others.sh"

fail() {
	echo "$*"
	[ -s said ] && { echo "it said:"; head -c 600 said; }
	exit 1
}

await_ready() {
	local n
	for ((n = 0; n < 3000; n++)); do
		grep -qs '^READY$' out && return
		sleep 0.02
	done
	fail "the victim does not start: $(cat out)"
}

# start KIND [ARGUMENT ...]: a victim in a session of its own; its process id in $pid.
start() {
	setsid "$victim" "$@" </dev/null >out 2>&1 &
	pid=$!
	disown
	await_ready
}

# Leaves its memory to its end.
damage() {
	ASAN_OPTIONS=detect_leaks=0 "$bin/damage" "$@"
}

# criu ARGUMENT ...: its status in $status, what it said to the user in the file `said`.
run_criu() {
	timeout -k 1 60 "$criu" "$@" </dev/null >said 2>&1
	status=$?
	[ $status -eq 124 ] && fail "criu $1 does not end"
	[ $status -gt 128 ] && fail "criu $1 died of signal $((status - 128))"
	return 0
}

# What a refused run could leave: mounts, and names here. Logs may be there, "said" is ours.
surroundings() {
	cat /proc/self/mountinfo
	find . $(ls -d mounted 2>/dev/null) -xdev ! -name '*.log' ! -name '*.log.[0-9]*' ! -name said \
		! -name 'surroundings.*' -printf '%p: mode %m, %n links' \( -type f -printf ', %s bytes\n' -o -printf '\n' \) |
		sort
}

refused() {
	surroundings >surroundings.before
	run_criu "$@"
	[ $status -ne 0 ] || fail "criu $1 succeeded"
	surroundings | diff surroundings.before - >surroundings.differ ||
		fail "criu $1 was refused and has left: $(grep '^[<>]' surroundings.differ)"
	rm -f surroundings.*
}

says() {
	local each
	for each; do
		grep -Eqi -- "$each" said || fail "the message should match /$each/"
	done
}

# Nothing but logs in the image directory.
nothing_in() {
	local left
	left=$(cd "$1" && ls -A | grep -v '\.log$')
	[ -z "$left" ] || fail "left in the image directory:" $left
}

# The victim checks itself.
passes() {
	local n
	kill -TERM "$pid" || fail "the victim is gone"
	for ((n = 0; n < 3000; n++)); do
		grep -q '^PASS$' out && return
		grep '^FAIL' out && exit 1
		sleep 0.02
	done
	fail "the victim does not end: $(cat out)"
}

untouched() {
	local task
	for task in /proc/$pid/task/*; do
		grep -q '^TracerPid:.0$' $task/status || fail "${task##*/} is traced"
		grep -q '^State:.[tT]' $task/status && fail "${task##*/} is stopped"
	done
	passes
}

# Processes of this namespace but the first; without a subshell, which would be one itself.
count_processes() {
	local each
	others=()
	for each in /proc/[0-9]*; do
		[ "$each" = /proc/1 ] || others+=("${each#/proc/}")
	done
}

# nobody_left [BUT]: as many may be there.
nobody_left() {
	for ((n = 0; n < 1500; n++)); do
		count_processes
		[ ${#others[@]} -le ${1:-0} ] && return 0
		sleep 0.02 # itself gone when counted again
	done
	return 1
}

# A finished set in `set` of a victim that is gone then.
make_set() {
	mkdir set
	start "${@:-plain}"
	run_criu dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	nobody_left || fail "after the dump ${#others[@]} processes are left: ${others[*]}"
}

restore_refused() {
	refused restore -d -D set -v4 -o restore.log "$@"
	nobody_left || fail "after a failed restore there is ${others[*]}"
}

run_cases() {
	local name dir out namespaces passed=0 failed=0 skipped=0
	if [ "${1:-}" = --inside ]; then
		cd "$3" || exit 1
		[ "$2" = kernel_thread ] || . "$(dirname "${BASH_SOURCE[0]}")/own-terminals.sh"
		"case_$2"
		exit
	fi
	name=$(sed -n 's/^\(case_[a-z0-9_]*\)() {.*/\1/p' "$self" | sort | uniq -d)
	[ -z "$name" ] || { echo "FAIL $suite: two cases have one name:" $name; return 1; }
	for name in ${*:-$(declare -F | sed -n 's/^declare -f case_//p')}; do
		dir=$(mktemp -d /tmp/$suite.XXXXXX)
		chmod 755 "$dir"
		namespaces=(setsid --wait unshare --pid --fork --kill-child --mount --mount-proc)
		[ "$name" = kernel_thread ] && namespaces=()
		out=$(timeout -k 1 ${case_timeout:-600} "${namespaces[@]}" "$self" --inside "$name" "$dir" 2>&1)
		case $? in
		0)
			echo "PASS $suite $name"
			passed=$((passed + 1))
			;;
		77)
			echo "SKIP $suite $name: $out"
			skipped=$((skipped + 1))
			;;
		*)
			echo "FAIL $suite $name: $out"
			failed=$((failed + 1))
			;;
		esac
		rm -rf "$dir"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ]
}
