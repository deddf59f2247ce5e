#!/bin/bash
# golden.sh [CASE ...]: restores each image set written by CRIU 4.2 in a pid and mount namespace of its own and lets the
# restored program check itself. CRIU and GOLDEN_DIR come from the environment; without the sets everything is skipped.
set -u
self=$(realpath "$0")
criu=${CRIU:?the program under test}
golden=$(realpath -q "${GOLDEN_DIR:-../shared/golden}")

declare -A not_yet=([unix]="unix sockets are not supported yet" [tcp]="TCP connections are not supported yet")

# Inside the namespaces, as their first process: orphans and restored tasks are handed to it.
restore_case() {
	local case=$1 work=/tmp/golden/work pid i
	mkdir -p /tmp/golden && mount -t tmpfs -o mode=755 golden /tmp/golden && mkdir "$work" || exit 1
	install -m 755 "$golden/golden" /tmp/golden/golden
	[ -d "$golden/keep/$case" ] && cp "$golden/keep/$case/"* /tmp/golden/
	case $case in
	files) chmod 640 /tmp/golden/files.data; mkfifo -m 600 /tmp/golden/files.fifo ;;
	shm) chmod 600 /tmp/golden/shm.map ;;
	esac
	local options=()
	[ "$case" = tcp ] && options=(--tcp-established)
	timeout -k 1 20 "$criu" restore -d -D "$golden/img/$case" -W "$work" -v4 -o restore.log --pidfile "$work/pid" \
		"${options[@]}" </dev/null >"$work/out" 2>&1
	i=$?
	if [ $i -ne 0 ]; then
		echo "restore: status $i: $(head -c 600 "$work/out")"
		tail -5 "$work/restore.log"
		exit 1
	fi
	pid=$(cat "$work/pid")
	kill -TERM "$pid" || { echo "there is no process $pid"; exit 1; }
	for ((i = 0; i < 100; i++)); do
		[ -s "/tmp/golden/$case.result" ] && break
		sleep 0.1
	done
	cat "/tmp/golden/$case.result" 2>/dev/null || echo "no result after 10 s"
	[ "$(cat "/tmp/golden/$case.result" 2>/dev/null)" = PASS ]
}

if [ "${1:-}" = --inside ]; then
	restore_case "$2"
	exit
fi

passed=0 failed=0 skipped=0
for case in "${@:-plain}" $([ $# -eq 0 ] && echo threads tree shm files signals unix tcp); do
	if [ -z "$golden" ] || [ ! -d "$golden/img/$case" ]; then
		echo "SKIP golden $case: no image set in ${GOLDEN_DIR:-../shared/golden}"
		skipped=$((skipped + 1))
	elif [ $# -eq 0 ] && [ -n "${not_yet[$case]:-}" ]; then
		echo "SKIP golden $case: ${not_yet[$case]}"
		skipped=$((skipped + 1))
	elif out=$(timeout -k 1 40 unshare --pid --fork --kill-child --mount --mount-proc "$self" --inside "$case" 2>&1); then
		echo "PASS golden $case"
		passed=$((passed + 1))
	else
		echo "FAIL golden $case: $out"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
