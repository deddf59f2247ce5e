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

# A watched file whose names the kernel has forgotten is there by its handle, which says nothing of where it is.
case_watched_without_a_name_in_memory() {
	local each where
	export PATH=$PATH:/usr/sbin:/sbin
	truncate -s 8M image
	mkdir mounted
	mkfs.ext4 -q image && mount -o loop image mounted || exit 77
	mkdir mounted/deep
	echo content >mounted/deep/file
	start files i:mounted/deep/file
	mount -o remount mounted
	for each in without --irmap-scan-path; do
		rm -rf set && mkdir set
		[ $each = without ] && where=() || where=("$each" "$PWD/mounted")
		run_criu dump -R -t "$pid" -D set -v4 -o dump.log "${where[@]}"
		[ $status -eq 0 ] || fail "$each: cannot make a set"
		if [ $each = without ]; then
			grep -q mounted/deep/file set/files.img && exit 77 # it has not forgotten them
			mount -o remount mounted
		else
			grep -q mounted/deep/file set/files.img || fail "it was not searched for"
		fi
	done
	passes
}

# --- changed --------------------------------------------------------------------------------------------------------

# makes A B C: files of 100 bytes; a set that has them open for reading, for appending and mapped.
make_files() {
	local each
	for each in read log mapped; do
		yes "this is $each" | head -c 100 >$each
	done
	make_set files r:read a:log m:mapped
}

# accepted REASON OPTION ...: and once more with the files as they were, for the next.
accepted() {
	local why=$1
	shift
	run_criu restore -d -D set -v4 -o restore.log "$@"
	[ $status -eq 0 ] || fail "$why is not accepted"
	ends
}

edit() {
	"${self%/*}/../images/edit-image.py" "$@"
}

# As many files are named as words follow.
declined() {
	local policy=$1
	shift
	restore_refused --file-policy "$policy"
	says "$@"
	[ $(grep -o 'pid [0-9]* (holder), ' said | wc -l) -eq $# ] || fail "others are named, too"
}

case_without_a_policy() {
	make_files
	cp -p read kept
	touch read log
	echo more >>log
	accepted "a grown log"
	echo more >>read
	restore_refused
	says 'fd 3, .*/read: has 105 bytes, had 100' 'hint: --file-policy PATTERN=append'
	cp -p kept read
	echo more >>mapped
	restore_refused
	says 'mapping [0-9a-f-]+, .*/mapped: has 105 bytes, had 100'
}

case_any_policy() {
	make_files
	echo short >read
	: >log
	truncate -s 1M mapped
	chmod 600 read
	restore_refused --file-policy "$PWD/mapped=any" --file-policy '*/log=any'
	says 'read: permissions'
	restore_refused --file-policy "$PWD/*=any" --file-policy '*/mapped=exact'
	says 'mapped: has'
	accepted "any change" --file-policy "$PWD/*=any" 
	accepted "any change" --file-policy '*/mapped=exact' --file-policy "$PWD/[lmr]*=any"
	rm read
	restore_refused --file-policy '/*=any'
	says 'read: No such file'
	mkdir read
	restore_refused --file-policy '/*=any'
	says 'read: is of another type'
}

# rw_hint FILE [VALUE]: sets it, prints it.
rw_hint() {
	python3 -c '
import fcntl, struct, sys
with open(sys.argv[1], "rb") as file:
    if len(sys.argv) > 2:
        fcntl.fcntl(file, 1024 + 12, struct.pack("Q", int(sys.argv[2])))
    print(struct.unpack("Q", fcntl.fcntl(file, 1024 + 11, bytes(8)))[0])' "$@"
}

# It goes with the inode in the kernel's memory, and belongs to whoever has told it last.
case_write_hint() {
	echo content >written
	echo content >other
	echo content >read
	rw_hint written 3 && rw_hint other 4 && rw_hint read 5 || fail "no hints"
	make_set files w:written w:other r:read
	rw_hint written 0
	rw_hint other 2
	rw_hint read 0
	restored
	[ "$(rw_hint written)" = 3 ] || fail "the hint is lost"
	[ "$(rw_hint other)" = 2 ] || fail "another hint was taken away"
	[ "$(rw_hint read)" = 0 ] || fail "who only reads has no hint to give"
	passes
}

# Only the permissions may differ: neither the other bits of the mode nor the type.
case_permissions() {
	make_files
	chmod 600 read
	restore_refused
	says 'fd 3, .*/read: permissions are 600, were 644' 'hint: --skip-file-rwx-check'
	accepted "other permissions" --skip-file-rwx-check
	chmod 2600 read
	restore_refused --skip-file-rwx-check
	says 'read: permissions are 2600, were 644'
	! grep -q hint: said || fail "a hint that does not help"
	rm read
	mkfifo read
	restore_refused --skip-file-rwx-check
	says 'read: is of another type than when it was dumped'
}

# edit_build WORD: the program with another build-id, or with none, of the same size.
edit_build() {
	python3 - "$1" <<-'END'
		import sys
		data = bytearray(open('holder', 'rb').read())
		at = data.index(b'\3\0\0\0GNU\0')
		data[at if sys.argv[1] == 'none' else at + 8] ^= 1
		open('new', 'wb').write(data)
	END
	chmod 755 new
	mv new holder
}

case_build() {
	cp "$victim" holder
	victim=$PWD/holder
	echo one >one
	make_set files r:one
	cp -p holder kept
	edit_build other
	restore_refused
	says '/holder: is another build than the one that was dumped' 'hint: .*--file-validation=filesize'
	accepted "another build" --file-validation=filesize
	cp -p kept holder
	edit_build none
	restore_refused --file-validation buildid
	says '/holder: has no build-id, but had one when it was dumped'
	rm -r set
	cp -p kept holder
	mkdir set
	start files r:one
	run_criu dump -t "$pid" -D set -v4 -o dump.log --file-validation filesize
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	edit_build other
	accepted "another build of a set without"
}

# A large table, in which the first descriptor of the path does not write.
case_write_hint_of_many() {
	local many=() n
	echo content >written
	echo content >other
	rw_hint written 3 || fail "no hint"
	for ((n = 0; n < 260; n++)); do
		many+=(r:other)
	done
	make_set files r:written w:written "${many[@]}"
	rw_hint written 0
	restored
	[ "$(rw_hint written)" = 3 ] || fail "the hint is lost"
	passes
}

# Other programs give a mapping the number of any descriptor of its file. Whoever has that may not be there yet when the
# mapping is made.
case_mapping_with_the_number_of_a_descriptor() {
	victim=$TEST_B/zdtm/map_of_other make_set
	PYTHONPATH=${self%/*}/../images python3 -c '
import glob, imagefile, sys
files = [e["reg"] for e in imagefile.read("set/files.img") if "reg" in e]
shared = {f["id"] for f in files if f["name"].endswith("/shared")}
open_files = {e["id"] for name in glob.glob("set/fdinfo-*.img") for e in imagefile.read(name)}
number, = shared & open_files
entries = imagefile.read(sys.argv[1])
mapped = [v for v in entries[0]["vmas"] if v["shmid"] in shared and v["status"] & 1 << 7]
mapped[0]["shmid"] = number
imagefile.write(sys.argv[1], entries)
' "set/mm-$pid.img" || fail "cannot change the set"
	restored
	passes
}

case_append_policy() {
	make_files
	cp -p log kept
	echo more | tee -a read log mapped >/dev/null
	accepted "what has grown" --file-policy '*=append'
	truncate -s 99 log read
	declined "$PWD/*=append" 'read: is shorter .*: 99 bytes of 100' 'log: is shorter'
	yes | head -c 1000 >>read
	rm log
	cp -p kept log
	restore_refused --file-policy "$PWD/*=append"
	says 'log: is another file' 'hint: with --file-policy at the dump'
}

case_exact_policy() {
	make_files
	accepted "nothing" --file-policy "$PWD/*=exact"
	cp -p mapped kept
	mv kept mapped
	accepted "a copy with its times" --file-policy "$PWD/*=exact"
	touch -r log stamp
	echo x | dd of=log conv=notrunc status=none
	declined "$PWD/*=exact" 'log: was modified at 20.*, at the dump that was 20'
	touch -r stamp log
	declined "$PWD/*=exact" 'log: was changed at 20.*although'
	accepted "what was put back" --file-policy "$PWD/*=exact" --file-policy '*/log=append'
	echo more >>log
	declined "$PWD/*=exact" 'log: has 105 bytes, had 100'
}

# The content decides then, not times and inodes.
case_policy_at_the_dump() {
	[ -e /usr/lib/x86_64-linux-gnu/libxxhash.so.0 ] || exit 77
	local each
	for each in read log mapped; do
		yes "this is $each" | head -c 300000 >$each
	done
	mkdir set
	start files r:read a:log m:mapped r:read
	run_criu dump -t "$pid" -D set -v4 -o dump.log --file-policy "$PWD/*=exact"
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	for each in read log mapped; do
		cp $each other
		mv other $each
	done
	accepted "a copy" --file-policy "$PWD/*=exact"
	accepted "a copy" --file-policy "$PWD/*=append"
	echo more >>log
	accepted "a grown copy" --file-policy '*/log=append'
	declined "$PWD/log=exact" 'log: has 300005 bytes'
	touch -r mapped stamp
	echo x | dd of=mapped bs=1 seek=299998 conv=notrunc status=none
	touch -r stamp mapped
	declined "$PWD/mapped=append" 'mapped: its first 300000 bytes are not what they were'
	accepted "the same size" 
	mkdir moved
	mv read log mapped moved
	restore_refused --path-map "$PWD=$PWD/moved" --file-policy "$PWD/moved/*=any" --file-policy "$PWD/mapped=exact"
	says 'moved/mapped: its first 300000 bytes'
	mkdir moved/set
	# The pattern is one of the old paths.
	accepted "what was moved" --path-map "$PWD/read=$PWD/moved/read" --path-map "$PWD/log=$PWD/moved/log" \
		--path-map "$PWD/mapped=$PWD/moved/mapped" --file-policy "$PWD/mapped=any" --file-policy "$PWD/read=exact"
}

case_set_of_another_program() {
	make_files
	"$TEST_B/badinput/damage" identity set || fail "cannot change the set"
	accepted "a set without identities"
	accepted "a set without identities" --file-policy "$PWD/*=any"
	declined "$PWD/log=append" 'log: the set does not say enough' 
	declined "$PWD/read=exact" 'read: the set does not say enough' 
	rm -rf set out
	mkfifo fifo
	make_set files w:fifo
	edit set/files.img "@reg.name=$PWD/fifo" -reg.mode || fail "cannot change the set"
	rm fifo
	echo no fifo >fifo
	restore_refused
	says 'fifo: is not a fifo'
}

# --- links ----------------------------------------------------------------------------------------------------------

# Two sets need a link in one directory; a dump that fails takes only its own back.
case_links_of_two_dumps() {
	local each first links
	mkdir other one two three
	for each in one two; do
		echo "this is $each" >file
		rm -f out
		start files r:file
		ln file "other/$each" && rm file
		refused dump -t "$pid" -D $each
		says 'fd 3, .*/file .deleted.: the name was removed, but the file has other links' 'hint: --link-remap'
		run_criu dump -t "$pid" -D $each -v4 -o dump.log --link-remap
		[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 $each/dump.log)"
		mv out "$each.out"
		nobody_left || fail "${others[*]} are left"
	done
	links=$(echo link_remap.*)
	[ $(echo $links | wc -w) -eq 2 ] || fail "there should be two links: $links"
	echo "this is three" >file
	start files r:file
	ln file other/three && rm file
	mkdir -p full
	mount -t tmpfs -o size=64k small full || exit 77
	refused dump -t "$pid" -D full --link-remap
	[ "$(echo link_remap.*)" = "$links" ] || fail "links were $links and are $(echo link_remap.*)"
	ends
	cp one/remap-fpath.img one/files.img .
	edit one/remap-fpath.img remap_id=7777 || fail "cannot change the set"
	refused restore -d -D one
	says 'remap-fpath.img: file [0-9]+: its other name, file 7777, is not there'
	cp remap-fpath.img one
	edit one/files.img "@reg.name=$PWD/$(grep -ao 'link_remap\.[0-9]*' one/files.img)" "reg.name=$PWD/other/one" || fail "cannot change the set"
	refused restore -d -D one
	says 'fd 3, .*/other/one: is no link that a dump makes'
	[ -e other/one ] || fail "what the link was for is gone"
	mv files.img one && rm remap-fpath.img
	for each in one two; do
		run_criu restore -d -D $each -v4 -o restore.log --pidfile "$PWD/$each.pid" --file-policy "$PWD/file=exact"
		[ $status -eq 0 ] || fail "set $each: $(tail -3 $each/restore.log)"
		pid=$(cat $each.pid)
		[ /proc/$pid/fd/3 -ef other/$each ] || fail "set $each: another file"
		ends
	done
	[ ! -e "$(echo link_remap.*)" ] || fail "left: $(echo link_remap.*)"
	refused restore -d -D one
	says 'link_remap.*: No such file'
}

# --- deleted --------------------------------------------------------------------------------------------------------

case_ghost_limit() {
	local limit
	head -c 2M /dev/urandom >big
	truncate -s 1G sparse
	mkdir set
	start files r:big r:sparse
	rm big sparse
	for limit in '' 1M 2047K 2097151 0; do
		refused dump -t "$pid" -D set ${limit:+--ghost-limit $limit}
		says 'fd 3, .*big .deleted.: the deleted file holds 2097152 bytes, more than --ghost-limit' \
			'hint: --ghost-limit 2097152'
		nothing_in set
	done
	for limit in 2M 2048K 2097152 1G; do
		run_criu dump -t "$pid" -D set -R --ghost-limit $limit
		[ $status -eq 0 ] || fail "--ghost-limit $limit does not save it"
		rm -r set && mkdir set
	done
	for limit in '' -1 1T 1MB M 1.5M 99999999999999999999; do
		refused dump -t "$pid" -D set --ghost-limit "$limit"
		says "ghost-limit: \"$limit\" is not a size"
	done
}

# One that is on a filesystem which nothing can be written to any more: said before anything is made.
case_ghost_on_read_only_filesystem() {
	mkdir -p mounted set
	mount -t tmpfs small mounted || exit 77
	echo deleted >mounted/file
	start files r:mounted/file
	rm mounted/file
	run_criu dump -t "$pid" -D set
	[ $status -eq 0 ] || fail "cannot make a set"
	mount -o remount,ro mounted
	restore_refused
	says "fd 3, $PWD/mounted/file: the deleted file cannot be made again there: Read-only file system"
	mount -o remount,rw mounted
	restored
	[ -z "$(ls -A mounted)" ] || fail "left: $(ls -A mounted)"
	passes
}

# But for those in the set.
all_names() {
	find . -path ./set -prune -o -print | sort
}

# Names are made for a moment. The process that makes them is killed at each call by which it does; no other makes one.
case_kill_while_names_are_made() {
	command -v strace >/dev/null || exit 77
	local before call at struck=0 killed
	mkdir -p mounted set
	mount -t tmpfs small mounted || exit 77
	start nameless
	mount -o remount,bind,ro mounted
	run_criu dump -t "$pid" -D set
	[ $status -eq 0 ] || fail "cannot make a set"
	nobody_left
	: >trace
	before=$(all_names)
	for call in mkdirat mknodat linkat symlinkat fchownat; do
		for ((at = 1; at < 60; at++)); do
			(timeout -k 1 60 strace -f -qq -o trace -e trace=$call -e inject=$call:signal=KILL:when=$at \
				"$criu" restore -d -D set </dev/null >said 2>&1; true) 2>/dev/null
			killed=$(grep -c 'killed by SIGKILL' trace)
			count_processes
			[ ${#others[@]} -gt 0 ] && kill -KILL "${others[@]}" 2>/dev/null
			nobody_left || fail "killed at $call $at: ${others[*]} are left"
			[ "$(all_names)" = "$before" ] || fail "killed at $call $at: $(all_names | diff <(echo "$before") -)"
			[ $killed -gt 0 ] || break
			struck=$((struck + 1))
		done
	done
	[ $struck -ge 12 ] || fail "only $struck were killed"
	restored
	[ "$(all_names)" = "$before" ] || fail "left: $(all_names)"
	passes
}

# A dump after which the program runs on makes no link; the restore does, to what has another name by now.
case_link_of_a_running_program() {
	local inode
	mkdir set elsewhere
	echo content >file
	echo content >mapped
	start files r:file m:mapped
	inode=$(stat -c %i file)
	ln file mapped elsewhere
	rm file mapped
	run_criu dump -R -t "$pid" -D set -v4 -o dump.log --link-remap
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	[ -z "$(ls | grep link_remap)" ] || fail "left: $(ls)"
	ends
	mv elsewhere/file elsewhere/renamed
	# As another set would have it.
	touch $(seq -f link_remap.%g 1 40)
	restored
	[ "$(stat -L -c %i "/proc/$pid/fd/3")" = "$inode" ] || fail "it has another file"
	[ "$(stat -c %h elsewhere/renamed)" = 1 ] || fail "a link is left"
	[ "$(ls | grep -c link_remap)" = 40 ] || fail "left: $(ls)"
	passes
	nobody_left
	rm elsewhere/renamed
	restore_refused
	says "fd 3, $PWD/file: its last name was removed since the dump"
	[ "$(ls | grep -c link_remap)" = 40 ] || fail "left: $(ls)"
}

# Any other path to the same device, also where the node has another name elsewhere.
case_evasive_devices() {
	local each
	mknod -m 600 node c 1 5 && head -c 1 node >/dev/null 2>&1 || exit 77
	mkdir set other
	start files r:node
	ln node other
	rm node
	mknod -m 600 node c 1 7
	for each in '' '--evasive-devices --no-evasive-devices'; do
		refused dump -t "$pid" -D set $each
		says 'fd 3, .*/node .deleted.: the name was removed' '^hint: --evasive-devices takes /dev/zero instead'
	done
	run_criu dump -t "$pid" -D set -v4 -o dump.log --evasive-devices
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	restored
	link fd/3 /dev/zero
	passes
}

# What no path leads to is given at the restore. Both hints are followed to the letter.
case_external_file() {
	local name
	mkdir covered set
	echo covered >covered/file
	start files r:covered/file
	mount -t tmpfs cover covered || exit 77
	refused dump -t "$pid" -D set
	says 'fd 3, .*/covered/file: its path leads to another file or to none' '^hint: .*--external file.*--inherit-fd'
	name=$(grep -o 'file\[[0-9a-f:]*\]' said | head -1)
	run_criu dump -t "$pid" -D set --external "$name"
	[ $status -eq 0 ] || fail "the hint does not help"
	nobody_left
	restore_refused
	says "fd 3, file.*: is external and no descriptor was given for it" 'hint: give it with --inherit-fd fd\[N\]:file'
	echo given >given
	exec 9<given
	run_criu restore -d -D set --inherit-fd "fd[9]:$name"
	[ $status -eq 0 ] || fail "the hint does not help"
	exec 9<&-
	link fd/3 "$PWD/given"
	passes
}

# A filesystem without handles of its files, without room to reserve and without holes to make.
case_simple_filesystem() {
	mkdir mounted set elsewhere
	mount -t ramfs simple mounted || exit 77
	mkdir mounted/other mounted/set
	echo content >mounted/file
	start files r:mounted/file
	ln mounted/file mounted/other
	rm mounted/file
	run_criu dump -R -t "$pid" -D set -v2 --link-remap
	[ $status -eq 0 ] || fail "cannot make a set"
	says 'Warn .*mounted/file .deleted.: the filesystem has no file handles, so that the link to it stays'
	[ "$(ls mounted | grep -c link_remap)" = 1 ] || fail "links: $(ls mounted)"
	ends
	restored
	[ "$(ls mounted | grep -c link_remap)" = 0 ] || fail "links: $(ls mounted)"
	[ /proc/$pid/fd/3 -ef mounted/other/file ] || fail "it has another file"
	passes
	nobody_left
	head -c 100000 /dev/zero >reserved
	fallocate -n -o 100000 -l 1000000 reserved || exit 77
	rm out
	start files r:reserved
	rm reserved
	run_criu dump -t "$pid" -D mounted/set -v2 --ghost-limit 2M
	[ $status -eq 0 ] || fail "cannot make a set"
	nobody_left
	run_criu restore -d -D mounted/set -v2 --path-map "$PWD/reserved=$PWD/mounted/reserved"
	[ $status -eq 0 ] || fail "it should only be warned of"
	says 'Warn .*a deleted file: no space can be reserved for it in this filesystem'
	ends
	run_criu restore -d -D mounted/set -v2 --auto-dedup
	[ $status -eq 0 ] || fail "it should only be warned of"
	says 'Warn .*--auto-dedup: .*pages.* stay: '
	passes
}

# Who has the lock meanwhile is named.
case_lock_taken() {
	local other
	echo one >one
	exec 9<one
	flock 9
	mkdir set
	start files r:one
	run_criu dump -t "$pid" -D set -v4 -o dump.log --file-locks
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	exec 9<&-
	flock -F one sleep 1000 &
	other=$!
	until grep -q "FLOCK .*:$(stat -c %i one) " /proc/locks && [ "$(cat /proc/$other/comm)" = sleep ]; do
		sleep 0.01
	done
	refused restore -d -D set -v4 -o restore.log --file-locks
	says "fd 9, $PWD/one: take the flock: process $other .sleep. holds a lock" "hint: end process $other"
	kill -KILL $other
	wait $other 2>/dev/null
	restored --file-locks
	passes
}

# Somebody else waits under the name of the session keyring for the keys that come into it.
case_session_keyring_of_another_user() {
	local other
	grep -q . /proc/keys 2>/dev/null || exit 77
	cat >join <<-'END'
		#!/usr/bin/python3
		import ctypes, os, sys
		call = ctypes.CDLL(None, use_errno=True).syscall
		KEYCTL, ADD_KEY, SESSION = 250, 248, -3
		name, user, *words = sys.argv[1:]
		os.setresuid(int(user), int(user), int(user))
		if call(KEYCTL, 1, name.encode(), 0, 0, 0) < 0:
		    sys.exit("join: " + os.strerror(ctypes.get_errno()))
		if user == "0":
		    call(ADD_KEY, b"user", name.encode(), b"secret", 6, SESSION)
		    os.execv(words[0], words)
		call(KEYCTL, 5, SESSION, 0x3f3f0009, 0, 0)
		open(words[0], "w").close()
		sys.stdin.read()
		open(words[0], "w").write("%d bytes" % call(KEYCTL, 11, SESSION, 0, 0, 0))
	END
	chmod 755 join .
	: >one
	mkdir set
	mkdir -m 777 told
	holder=$victim
	victim=$PWD/join start "changed-$$" 0 "$holder" files r:one
	run_criu dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	mkfifo end
	./join "changed-$$" 54321 told/it <end &
	other=$!
	exec 9>end
	until [ -e told/it ]; do
		kill -0 $other || fail "nobody waits"
		sleep 0.01
	done
	refused restore -d -D set -v4 -o restore.log
	says "session keyring \"changed-$$\": there is another one of that name, of user 54321"
	exec 9>&-
	wait $other
	[ "$(cat told/it)" = "0 bytes" ] || fail "somebody else has got $(cat told/it) of keys"
	while grep -q "54321 .*keyring *changed-$$" /proc/keys; do
		sleep 0.01
	done
	restored
	grep -q " user *changed-$$: 6" /proc/keys || fail "the key is not there: $(cat /proc/keys)"
	passes
}

# What others have kept in a fifo does not get into it twice, and what they have changed is not mixed up.
case_fifo_kept_open() {
	mkfifo fifo
	exec 9<>fifo
	printf kept >&9
	exec 8<fifo
	mkdir set
	exec 7<>fifo 9>&-
	start files r:fifo
	run_criu dump -t "$pid" -D set -v4 -o dump.log
	[ $status -eq 0 ] || fail "cannot make a set: $(tail -3 set/dump.log)"
	exec 8<&-
	printf more >&7
	restore_refused
	says "$PWD/fifo: 8 other bytes are in the fifo, 4 that were not read" 'hint: end the processes'
	head -c 8 <&7 >/dev/null
	printf kept >&7
	restored
	printf . >&7
	[ "$(head -c 5 <&7)" = kept. ] || fail "the fifo holds something else"
	passes
}

run_cases "$@"
