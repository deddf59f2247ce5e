#!/bin/bash
# worlds.sh [COUNT [FIRST]]: that many worlds, each in one of the modes by its number. MODE=compare (or another of the
# runner's) takes all of them there; mode mask hides one feature that the code has a fallback for, by the number again. A
# world that fails is named by its seed: worlds.sh 1 SEED makes it again.
# worlds.sh --least SEED MODE WORDS: the least steps of a world that fails in that mode with these words. The last line is
# the sum.
set -u
: "${CRIU:?the program under test}" "${TEST_B:?where the tests were built}"
here=$(cd "$(dirname "$0")" && pwd)
list=$(mktemp -d /tmp/worlds.XXXXXX)
trap 'rm -rf "$list"' EXIT
cp "$here/../zdtm/may-differ.txt" "$list"
mapfile -t features <"$TEST_B/fallbacks"

# Children of a thread become those of the first one. Who took a lock that several have may be another of them. A file that another one was renamed over has a name of its own
# after a restore, which is compared elsewhere.
# line SEED:STEPS MODE: one for the runner
line() {
	local rename=+rename
	[ "$2" = compare ] && rename=
	echo "world_${1%:*} program=../worlds/world args=$1$rename dump=--file-locks restore=--file-locks" \
		"differs=children:*,fdinfo/*:lock"
}

# run MODE: what is in the list
run() {
	"$TEST_B/zdtm/runner" -c "$CRIU" -s "$list" -x "$here/../images/check-set.py" -m "$1" 2>&1
}

# mode_of SEED
mode_of() {
	local modes=(leave-running iterations mask compare compare compare)
	local mode=${MODE:-${modes[$1 % 6]}}
	[ "$mode" = mask ] && mode=mask=${features[$1 / 6 % ${#features[@]}]}
	echo "$mode"
}

if [ "${1:-}" = --least ]; then
	seed=$2 mode=$3 steps=$(((1 << 62) - 1))
	for ((step = 61; step >= 0; step--)); do
		without=$((steps & ~(1 << step)))
		line "$seed:$(printf %x $without)" "$mode" >"$list/tests.list"
		run "$mode" | grep -qF -- "${4:-FAIL}" && steps=$without
	done
	line "$seed:$(printf %x $steps)" "$mode" >"$list/tests.list"
	run "$mode"
	printf 'world %s:%x\n' "$seed" $steps
	exit
fi

count=${1:-20} first=${2:-1} passed=0 failed=0 skipped=0
for mode in $(for ((seed = first; seed < first + count; seed++)); do mode_of $seed; done | sort -u); do
	for ((seed = first; seed < first + count; seed++)); do
		[ "$(mode_of $seed)" = "$mode" ] && line "$seed" "$mode"
	done >"$list/tests.list"
	out=$(run "$mode")
	grep -v -E '^(PASS |[0-9]+ passed, )' <<<"$out"
	read -r p _ f _ s _ <<<"$(tail -1 <<<"$out")"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
