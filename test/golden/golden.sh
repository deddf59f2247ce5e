#!/bin/bash
# golden.sh [CASE ...]: restores each image set written by CRIU 4.2 in a pid and mount namespace of its own and lets the
# restored program check itself; then the same sets rewritten as other versions or incremental dumps would have left
# them, and in a directory of a read-only file system. CRIU and GOLDEN_DIR come from the environment; without the sets
# everything is skipped.
set -u
self=$(realpath "$0")
criu=${CRIU:?the program under test}
older=${self%/*}/../images/older-set.py
golden=$(realpath -q "${GOLDEN_DIR:-../shared/golden}")

declare -A not_yet=([unix]="unix sockets are not supported yet" [tcp]="TCP connections are not supported yet")

# Inside the namespaces, as their first process: orphans and restored tasks are handed to it.
restore_case() {
	local case=$1 work=/tmp/golden/work img=$golden/img/$1 pid i
	mkdir -p /tmp/golden && mount -t tmpfs -o mode=755 golden /tmp/golden && mkdir "$work" || exit 1
	install -m 755 "$golden/golden" /tmp/golden/golden
	[ -d "$golden/keep/$case" ] && cp "$golden/keep/$case/"* /tmp/golden/
	case $case in
	files) chmod 640 /tmp/golden/files.data; mkfifo -m 600 /tmp/golden/files.fifo ;;
	shm) chmod 600 /tmp/golden/shm.map ;;
	esac
	if [ -n "${FORM:-}" ] && [ "$FORM" != read-only ]; then
		cp -r "$img" /tmp/golden/img && img=/tmp/golden/img && "$older" "$img" || exit 1
	fi
	if [ "${FORM:-}" = read-only ]; then
		mkdir /tmp/golden/sets && mount -t tmpfs golden-sets /tmp/golden/sets && cp -r "$img" /tmp/golden/sets/ &&
			mount -o remount,ro /tmp/golden/sets && cd /tmp/golden/sets && img=$case || exit 1
	fi
	local options=()
	[ "$case" = tcp ] && options=(--tcp-established)
	timeout -k 1 60 "$criu" restore -d -D "$img" -W "$work" -v4 -o restore.log --pidfile "$work/pid" \
		"${options[@]}" </dev/null >"$work/out" 2>&1
	i=$?
	if [ $i -ne 0 ]; then
		echo "restore: status $i: $(head -c 600 "$work/out")"
		tail -5 "$work/restore.log"
		exit 1
	fi
	pid=$(cat "$work/pid")
	kill -TERM "$pid" || { echo "there is no process $pid"; exit 1; }
	for ((i = 0; i < 600; i++)); do
		[ -s "/tmp/golden/$case.result" ] && break
		sleep 0.1
	done
	cat "/tmp/golden/$case.result" 2>/dev/null || echo "no result after 60 s"
	[ "$(cat "/tmp/golden/$case.result" 2>/dev/null)" = PASS ]
}

if [ "${1:-}" = --inside ]; then
	restore_case "$2"
	exit
fi

# one CASE [FORM]
one() {
	local name=$1${2:+ ($2)} out
	if [ -z "$golden" ] || [ ! -d "$golden/img/$1" ]; then
		echo "SKIP golden $name: no image set in ${GOLDEN_DIR:-../shared/golden}"
		skipped=$((skipped + 1))
	elif [ -z "$named" ] && [ -n "${not_yet[$1]:-}" ]; then
		echo "SKIP golden $name: ${not_yet[$1]}"
		skipped=$((skipped + 1))
	elif out=$(FORM=${2:-} timeout -k 1 200 unshare --pid --fork --kill-child --mount --mount-proc "$self" --inside "$1" 2>&1); then
		echo "PASS golden $name"
		passed=$((passed + 1))
	else
		echo "FAIL golden $name: $out"
		failed=$((failed + 1))
	fi
}

passed=0 failed=0 skipped=0 named=${1:-}
for case in ${*:-plain threads tree shm files signals unix tcp}; do
	one "$case"
	if [ -n "$named" ] || [ -z "${not_yet[$case]:-}" ]; then
		for form in old chain newer reused read-only; do
			one "$case" $form
		done
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
