#!/bin/bash
# changed.sh [CASE ...]: files that were moved or changed between a dump and a restore, and what --path-map and
# --file-policy make of that. CRIU and TEST_B come from the environment.
set -u
self=$(realpath "$0")
suite=changed
criu=${CRIU:?the program under test}
victim=${TEST_B:?where the test programs are}/changed/holder
. "$(dirname "$self")/../lib/cases.sh"

# --- moved ----------------------------------------------------------------------------------------------------------

# link FILE EXPECTED [PID]: what a link in /proc of the restored root leads to.
link() {
	local found
	found=$(readlink "/proc/${3:-$pid}/$1")
	[ "$found" = "$2" ] || fail "$1 is $found, expected $2"
}

restored() {
	run_criu restore -d -D set -v4 -o restore.log "$@"
	[ $status -eq 0 ] || fail "the restore failed"
}

passes() {
	kill -TERM "$pid" || fail "the process is gone"
	for ((i = 0; i < 100; i++)); do
		grep -q '^PASS$' out && return
		grep '^FAIL' out && exit 1
		sleep 0.02
	done
	fail "it does not end: $(cat out)"
}

ends() {
	kill -KILL "$pid"
	nobody_left || fail "${others[*]} are left"
}

# Everything below old/, the program too.
case_whole_directory() {
	local home=$PWD child
	mkdir old old2
	cp "$victim" old/holder
	cd old
	victim=$PWD/holder start paths
	mv out ../out
	cd ..
	mkdir set
	run_criu dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	child=$(cd set && ls core-*.img | tr -dc '0-9\n' | sort -n | tail -1)
	mkdir new
	mv old "new/=place"
	# What is like a prefix and is none changes nothing, the longest prefix counts.
	restore_refused
	says "$home/old/file: No such file" 'hint: --path-map'
	restore_refused --path-map "$home/ol=$home/new/\\=place"
	says "$home/old/file: No such file"
	restore_refused --path-map "$home/old=$home/nowhere"
	says "$home/nowhere/file: No such file.*at the dump it was $home/old/file"
	restored --path-map "$home=$home/nowhere" --path-map "$home/out=$home/out" \
		--path-map "$home/old/=$home/new/\\=place//" --path-map "$home/old/f=/" 
	grep -q -- "--path-map $home/old/f=/: no path" set/restore.log || fail "a map that means nothing is not told"
	link exe "$home/new/=place/holder"
	link cwd "$home/new/=place"
	link fd/3 "$home/new/=place/file"
	link fd/5 "$home/new/=place"
	link fd/6 "$home/new/=place/fifo"
	link root "$home/new/=place/jail" "$child"
	link cwd "$home/new/=place/jail/cell" "$child"
	readlink /proc/$pid/fd/4 | grep -q "^$home/new/=place/ghost.* (deleted)$" || fail "the ghost is $(readlink /proc/$pid/fd/4)"
	grep -q "$home/new/=place/mapped$" /proc/$pid/maps || fail "it does not map the moved file"
	: >"new/=place/watched/file"
	passes
}

# Below the root.
case_root_directory() {
	local home=$PWD
	mkdir -p old/deep
	echo one >old/deep/one
	make_set files r:old/deep/one
	mkdir "/policy-test.$$"
	mv old/deep/one "/policy-test.$$/one"
	restored --path-map "$home/old/deep=/policy-test.$$"
	link fd/3 "/policy-test.$$/one"
	passes
	nobody_left || fail "${others[*]} are left"
	rm "/policy-test.$$/one"
	rmdir "/policy-test.$$"
}

# Below the root and back: all there is is mounted a second time.
case_everything_elsewhere() {
	local home=$PWD
	echo one >one
	make_set files r:one
	mkdir all
	mount --rbind / all || exit 77
	restored --path-map "/=$home/all"
	link fd/3 "$home/all$home/one"
	link cwd "$home/all$home"
	ends
	restored --path-map "$home/=$home" --path-map /usr=/usr/
	link fd/3 "$home/one"
	passes
}

run_cases "$@"
