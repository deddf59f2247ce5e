#!/bin/bash
# trees.sh [COUNT [FIRST]]: that many random trees (test/zdtm/random_tree.c), each dumped, restored and compared. A tree
# that fails is named by its seed: trees.sh 1 SEED makes it again. The last line is the sum.
set -u
: "${CRIU:?the program under test}" "${TEST_B:?where the tests were built}"
here=$(cd "$(dirname "$0")" && pwd)
count=${1:-20} first=${2:-1}
list=$(mktemp -d /tmp/trees.XXXXXX)
trap 'rm -rf "$list"' EXIT
cp "$here/../zdtm/may-differ.txt" "$list"

passed=0 failed=0
for ((seed = first; seed < first + count; seed++)); do
	echo "random_tree args=$seed" >"$list/tests.list"
	if out=$("$TEST_B/zdtm/runner" -c "$CRIU" -s "$list" -x "$here/../images/check-set.py" -m compare 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "seed $seed: ${out%$'\n'*}"
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
