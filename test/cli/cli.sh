#!/bin/bash
# cli.sh [CASE ...]: the command line as scripts and other programs use it: spellings, configuration files, exit statuses,
# what is said where, the log, hooks, what stands around a restored tree. Each case is a function, run as the first
# process of a pid and mount namespace of its own, in an empty directory. CRIU and TEST_B come from the environment.
set -u
self=$(realpath "$0")
suite=cli
. "$(dirname "$self")/../lib/cases.sh"
criu=${CRIU:?the program under test}
source=$(dirname "$self")/../..
victim=${TEST_B:?where the test programs are}/badinput/victim
nobody=31999 # no process has this number

fail() {
	echo "$*"
	for each in out err; do
		[ -s $each ] && { echo "std$each:"; head -c 500 $each; }
	done
	exit 1
}

# run ARGUMENT ...: status in $status, what was said in out and err.
run() {
	timeout -k 1 60 "$criu" "$@" </dev/null >out 2>err
	status=$?
	[ $status -ne 124 ] || fail "criu $* does not end"
}

# gives STATUS ARGUMENT ...
gives() {
	local expected=$1
	shift
	run "$@"
	[ $status -eq $expected ] || fail "criu $*: status $status, expected $expected"
}

# says FILE PATTERN ...
says() {
	local file=$1 each
	shift
	for each; do
		grep -Eq -- "$each" $file || fail "$file should match /$each/"
	done
}

silent() {
	[ ! -s $1 ] || fail "std$1 should be empty"
}

# A dump that gets as far as looking for the process: all options were accepted.
accepted() {
	gives 1 "$@"
	says err "pid $nobody: no such process"
}

# within TRIES COMMAND ...: whether it succeeds one of so many times, 20 ms apart.
within() {
	local tries=$1 n
	shift
	for ((n = 0; n < tries; n++)); do
		"$@" && return
		sleep 0.02
	done
	return 1
}

# start: a victim in a session of its own.
start() {
	setsid "$victim" "${@:-plain}" </dev/null >victim.out 2>&1 &
	pid=$!
	disown
	within 3000 grep -qs '^READY$' victim.out || fail "the victim does not start"
}

# The victim checks itself.
passes() {
	kill -TERM "$pid" || fail "there is no victim"
	within 3000 grep -q '^PASS$' victim.out || fail "the victim: $(cat victim.out)"
}

gone() {
	within 3000 [ ! -e /proc/$pid ] || fail "the victim is still there"
}

make_set() {
	mkdir -p set
	start
	gives 0 dump -t $pid -D set -o dump.log
	gone
}

# A hook that notes what it was told, and fails at the action $1 with status $2.
make_hook() {
	cat >hook <<-HOOK
		#!/bin/sh
		echo "\$CRTOOLS_SCRIPT_ACTION \${CRTOOLS_INIT_PID:-none} \$(readlink -f "\$CRTOOLS_IMAGE_DIR") \$#" >>$PWD/hooks
		[ "\$CRTOOLS_SCRIPT_ACTION" != "${1:-}" ] || exit ${2:-1}
	HOOK
	chmod 755 hook
}

# --- spelling ---------------------------------------------------------------------------------------------------------

case_spellings() {
	mkdir set
	accepted dump -t $nobody -D set
	accepted dump -t$nobody -Dset
	accepted dump --tree=$nobody --images-dir=set
	accepted dump --tree $nobody --images-dir set
	accepted -D set dump -t $nobody
	accepted -D set -t $nobody dump
	accepted dump --tre $nobody --images set
	accepted dump -jlRD set -t $nobody
	accepted dump -t 1 -t $nobody -D nowhere -D set
	accepted dump -t $nobody -D set --no-shell-job --no-file-locks --shell-job --link-remap --no-link-remap
	accepted dump -t $nobody -D set --manage-cgroups --manage-cgroups=soft --cpu-cap --cpu-cap=^ins --cpu-cap=none
	accepted dump -t $nobody -D set --external 'mnt[/x]:y' --external 'mnt[]' --external 'mnt[]:ms' \
		--external 'file[1:2]' --external 'tty[1:2]' --external 'unix[5]'
	accepted dump -t $nobody -D set --ghost-limit 64K --ghost-limit=1G --timeout 7 --network-lock none
}

case_spellings_refused() {
	local each words
	while IFS='|' read -r each words; do
		gives 1 dump -t $nobody $each
		says err "^criu: $words"
	done <<-'END'
		--frob|option --frob does not exist
		--no-tree|option --no-tree does not exist
		--no-all-the-more|option --no-all-the-more does not exist
		--l|option --l is ambiguous
		-Z|option -Z does not exist
		--shell-job=1|option --shell-job=1 takes no value
		-t 0|--tree: 0 is not between 1 and
		-t -4|--tree: "-4" is not a number
		-t 5x|--tree: "5x" is not a number
		-t|option -t needs a value
		--manage-cgroups=frob|--manage-cgroups: "frob" is none of none, props
		--cpu-cap=frob|--cpu-cap: "frob" is none of all, cpu
		--network-lock frob|--network-lock: "frob" is none of iptables
		--ghost-limit 1X|--ghost-limit: "1X" is not a size like
		--timeout soon|--timeout: "soon" is not a number
		--io-wait soon|--io-wait: "soon" is not a number
		--file-validation frob|--file-validation: "frob" is none of filesize, buildid
		--pre-dump-mode frob|--pre-dump-mode: "frob" is none of splice, read
		--external frob|--external: "frob" is not of the form TYPE
		--external mnt[]:q|--external: "mnt\[\]:q": only m or s may follow
		--ext-mount-map frob|--ext-mount-map: "frob" is not a pair with ":" between
		--ext-unix-sk=1,,2|--ext-unix-sk: the list of socket inodes has an empty word
		--enable-fs a,,b|--enable-fs: the list of filesystems has an empty word
		--veth-pair frob|--veth-pair: "frob" is not a pair with "=" between
		--inherit-fd frob|--inherit-fd: "frob" is not of the form fd\[N\]:ID
		--port 0|--port: 0 is not between 1 and 65535
		--port 65536|--port: 65536 is not between 1 and 65535
		--empty-ns pid|--empty-ns: "pid" is none of net
		--close frob|--close: "frob" is not a number
		--ps-socket frob|--ps-socket: "frob" is not a number
		--ms|--ms does not exist any more
		--conf file|--config must be written in full
		--inherit-fd fd[0]:x|dump: --inherit-fd is for restore only
		--mntns-compat-mode|dump: --mntns-compat-mode is for restore only
		-v5x|--verbosity: "5x" is not a level from 0 to 4
		surplus|unexpected argument surplus
	END
	gives 1 dump -t $nobody --frob
	says err 'option --frob does not exist' '^hint: '
	gives 1 dump -t $nobody --lazy-pages
	says err '--lazy-pages is not supported yet'
	gives 1 dump -t $nobody surplus
	says err '^Usage: '
	gives 1 restore -S
	says err '--restore-sibling needs --restore-detached'
	gives 1 restore -d --exec-cmd -- true
	says err 'exclude each other'
	gives 1 restore --exec-cmd
	says err 'needs a command'
}

# What container engines and their older kin start: it works, or all that stands in the way is said at once.
case_container_engines() {
	local each words
	mkdir set
	while IFS='|' read -r each words; do
		gives 1 $each
		says err "$words"
	done <<-END
		dump --tcp-established --file-locks --link-remap --manage-cgroups=full --action-script /bin/true -D set -o - --enable-fs hugetlbfs --enable-fs tracefs --ext-mount-map auto --enable-external-sharing --enable-external-masters --cgroup-root /x -t $nobody -vvvvvv|^criu: dump: --tcp-established is not supported yet
		dump --tcp-established --enable-fs hugetlbfs --ext-mount-map auto --enable-external-sharing --enable-external-masters --cgroup-root /x -t $nobody|^hint: nor are: --cgroup-root, --enable-fs, --ext-mount-map, --enable-external-sharing, --enable-external-masters\$
		dump -t $nobody -D set --external net[123]:extRootNetNS --external mnt[/proc]:proc --external mnt[]:m --manage-cgroups=soft -j -l --cpu-cap=none --log-file=- --network-lock=skip --ghost-limit 5M|pid $nobody: no such process
		pre-dump -t $nobody -D set --track-mem|^criu: pre-dump: not supported yet
		dump -t $nobody -D set --track-mem --prev-images-dir ../x|^hint: nor are: --prev-images-dir\$
		restore -d -S -D set --root /x --external mnt[proc]:/p --inherit-fd fd[0]:extRootNetNS --manage-cgroups=strict --lsm-profile apparmor:x --empty-ns net|^criu: restore: --lsm-profile is not supported yet
		restore -d -S -D set --external mnt[proc]:/p --external veth[eth0]:v@br --inherit-fd fd[0]:extRootNetNS --inherit-fd fd[0]:pipe:[77] --manage-cgroups=strict --tcp-established|^criu: restore: --tcp-established is not supported yet
		restore -d -S -D set --external mnt[proc]:/p --external veth[eth0]:v@br --inherit-fd fd[0]:extRootNetNS --inherit-fd fd[0]:pipe:[77] --manage-cgroups=strict -j -l --cpu-cap=none|inventory.img
		lazy-pages -D set --page-server --address 1.2.3.4 --port 27|^criu: lazy-pages: not supported yet
		page-server --images-dir set --port 27 --ps-socket 3|^criu: page-server: not supported yet
		dedup -D set|^criu: dedup: not supported yet
		swrk 3|^criu: swrk: not supported yet
		service -d --address set/socket|^criu: service: not supported yet
	END
	[ -z "$(ls set | grep -v '\.log$')" ] || fail "left: $(ls set)"
}

case_statuses() {
	gives 0 --help
	says out '^Usage: criu' 'pagemap_scan_guard_pages'
	silent err
	gives 0 dump -t 5 --frob -h
	gives 0 -V
	gives 0 dump --version
	[ "$(head -1 out)" = "Version: 4.2" ] || fail "the first line of --version"
	gives 1
	says err '^Usage: '
	gives 1 frob
	says err 'unknown command frob' '^Usage: '
	gives 1 dump
	gives 255 show
	gives 255 exec
	gives 255 show -D . core-1.img
	gives 1 cpuinfo
	gives 1 cpuinfo frob
	gives 1 cpuinfo dump check
	gives 1 swrk
	gives 1 restore -D nowhere
	gives 1 dump -t $nobody -D nowhere
}

# The log is there however early a run fails, even of a command that is not there.
case_early_logs() {
	mkdir set
	gives 1 dump -D set -o dump.log
	says set/dump.log 'Error \(.*\): no process given'
	gives 1 restore -D set -o restore.log
	says set/restore.log 'Error ' 'Restoring FAILED.'
	gives 1 pre-dump -t $nobody -D set -o pre-dump.log
	says set/pre-dump.log 'Error .*not supported yet'
}

# --- configuration files ----------------------------------------------------------------------------------------------

case_configuration() {
	local each
	mkdir set other home home/.criu
	export HOME=$PWD/home
	mount -t tmpfs etc /etc && mkdir /etc/criu || exit 77
	echo 'log-file from-etc' >/etc/criu/default.conf
	gives 1 dump -t $nobody -D set
	[ -e set/from-etc ] || fail "/etc/criu/default.conf is not read"
	printf '# a comment\n\n  log-file\t"from home"   # more\nshell-job\nno-shell-job\nmanage-cgroups=soft\n' \
		>home/.criu/default.conf
	gives 1 dump -t $nobody -D set
	[ -e "set/from home" ] || fail "the user's file does not override"
	echo 'log-file from-environment' >environment.conf
	CRIU_CONFIG_FILE=environment.conf gives 1 dump -t $nobody -D set
	[ -e set/from-environment ] || fail "CRIU_CONFIG_FILE does not override"
	echo 'log-file from-option' >option.conf
	for each in '--config option.conf' --config=option.conf; do
		rm -f set/*
		CRIU_CONFIG_FILE=environment.conf gives 1 dump -t $nobody -D set $each
		[ -e set/from-option ] || fail "$each does not override"
	done
	CRIU_CONFIG_FILE=environment.conf gives 1 dump -t $nobody -D set --config option.conf -o from-line
	[ -e set/from-line ] || fail "the command line does not override"
	rm -f set/*
	CRIU_CONFIG_FILE=environment.conf gives 1 dump -t $nobody -D set --no-default-config
	[ -e set/from-environment ] || fail "--no-default-config disables CRIU_CONFIG_FILE"
	rm -f set/*
	gives 1 dump -t $nobody -D set --no-default-config
	[ -z "$(ls set)" ] || fail "--no-default-config does not disable"
	CRIU_CONFIG_FILE=missing accepted dump -t $nobody -D set --config missing-too
}

# HOME may still be that of somebody else; a file that was asked for has to be read.
case_configuration_unreadable() {
	mkdir -p home/.criu set
	echo shell-job >home/.criu/default.conf
	chmod 700 home
	cp "$criu" copy
	printf '#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups ./copy "$@"\n' >other
	chmod 755 . copy other
	criu=./other
	HOME=$PWD/home accepted dump -t $nobody -D set
	says err '^Warn .*home/.criu/default.conf is not read: Permission denied'
	gives 1 dump -t $nobody -D set --config home/.criu/default.conf
	says err '^criu: configuration file home/.criu/default.conf: Permission denied'
}

case_configuration_refused() {
	local each words
	mkdir set
	while IFS='|' read -r each words; do
		printf '%b\n' "$each" >file.conf
		gives 1 dump -t $nobody -D set --config file.conf
		says err "file.conf, line [12]: .*$words"
	done <<-'END'
		log-file "no end|the closing quote is missing
		log-file a b|there is more than one value
		log-file=a b|log-file=a: there is more than one value
		log-file "|the closing quote is missing
		frob|option --frob does not exist
		manage-cgroups soft|the value must be attached: manage-cgroups=soft
		# right\nshell-job=yes|option --shell-job=yes takes no value
		--shell-job|options stand here without dashes
	END
	printf 'images-dir ""\n' >file.conf
	run dump -t $nobody --config file.conf
	[ $status -eq 1 ] || fail "an empty value"
}

# --- the log ----------------------------------------------------------------------------------------------------------

case_verbosity() {
	local each
	mkdir set
	start
	quiet() { gives 0 dump -t $pid -D set -R "$@"; rm -f set/*; silent err; }
	tells() { gives 0 dump -t $pid -D set -R "$@"; rm -f set/*; says err 'Dumping finished successfully'; }
	quiet
	quiet -v0
	quiet -v1
	quiet -v2
	quiet --verbosity=0
	quiet -verbosity=0
	quiet -v4 -v0
	for each in -v3 -v4 -v -vv -vvv --verbosity --verbosity=3 -verbosity=3 '-v -v'; do
		tells $each
	done
	gives 0 dump -t $pid -D set -R -v3
	rm -f set/*
	! grep -q 'stage.*:.*[^0-9a-z :.,()=]$' err || fail "debug at level 3"
	passes
}

case_log_lines() {
	mkdir set work
	start
	gives 0 dump -t $pid -D set -W work -R -v4 -o a.log
	silent out
	silent err
	[ "$(stat -c %a work/a.log)" = 600 ] || fail "mode of the log: $(stat -c %a work/a.log)"
	[ -e work/stats-dump ] && [ ! -e set/stats-dump ] || fail "statistics belong into the work directory"
	sed -n 1p work/a.log | grep -Eq '^\([0-9]{2}\.[0-9]{6}\) Version: 4\.2 \(gitid ' || fail "first line: $(head -1 work/a.log)"
	sed -n 2p work/a.log | grep -Eq '^\([0-9.]{9}\) Running on [^ ]+ Linux ' || fail "second line: $(sed -n 2p work/a.log)"
	tail -1 work/a.log | grep -q 'Dumping finished successfully$' || fail "last line: $(tail -1 work/a.log)"
	! grep -Evq '^\([0-9]+\.[0-9]+\) ' work/a.log || fail "a line without a time: $(grep -Ev '^\([0-9]+\.[0-9]+\) ' work/a.log)"
	gives 1 dump -t $nobody -D set -W work -o a.log
	[ "$(grep -c . work/a.log)" = 2 ] || fail "the log is not truncated"
	says work/a.log '^Error \([a-z-]+\.c:[0-9]+\): pid 31999: no such process' 'Dumping FAILED\.$'
	gives 1 dump -t $nobody -D set -W work -o -
	says out '^Error .*no such process' 'Dumping FAILED\.$'
	mkdir set2
	gives 0 dump -t $pid -D set2 -W work -v3 -o -
	says out 'Dumping finished successfully'
	gone
	gives 0 restore -d -D set2 -W work -v4 -o b.log
	says work/b.log 'Restore finished successfully. Tasks resumed.' '^\([0-9.]{9}\) +[0-9]+: '
	[ -e work/stats-restore ] || fail "no statistics of the restore"
	passes
}

# What is told of a dump and of its restore agrees, whichever way the pages come back; the vdso is written, and is the
# kernel's own again in each process.
case_statistics_agree() {
	local each written restored range own
	range=$(sed -n 's/ .*\[vdso\]$//p' /proc/self/maps)
	own=$(((0x${range#*-} - 0x${range%-*}) / 4096))
	for each in plain 'large 80'; do
		rm -rf set && mkdir set
		start $each
		gives 0 dump -t $pid -D set --display-stats
		written=$(($(sed -n 's/^Memory pages written: *\([0-9]*\).*/\1/p' out) - own * $(ls set/mm-*.img | wc -l)))
		[ "$written" -gt 256 ] || fail "$each: $written pages written"
		gone
		gives 0 restore -d -D set --display-stats
		restored=$(sed -n 's/^Pages restored: *\([0-9]*\).*/\1/p' out)
		[ "$written" = "$restored" ] || fail "$each: $written pages written, $restored restored"
		passes
		gone
	done
}

case_log_of_each_task() {
	make_set
	gives 0 restore -d -D set -v4 -o restore.log --log-pid
	[ -s set/restore.log.$pid ] || fail "no log of pid $pid: $(ls set/restore.log*)"
	! grep -q "process $pid" set/restore.log || fail "lines of pid $pid in the common log"
	passes
}

# Who may write to the work directory decides neither what is emptied nor how long we wait.
case_log_that_leads_elsewhere() {
	mkdir set
	start
	echo precious >precious
	ln -s ../precious set/link
	gives 0 dump -R -t $pid -D set -o link -v4
	says precious 'Dumping finished'
	echo precious >precious
	chown -h 65534 set/link
	gives 1 dump -R -t $pid -D set -o link -v4
	says err 'log file link: is a symbolic link of another user'
	[ "$(cat precious)" = precious ] || fail "the file behind the link was written"
	mkfifo set/fifo
	gives 1 dump -R -t $pid -D set -o fifo -v4
	says err 'log file fifo: is a fifo that nobody reads'
	cat set/fifo >read &
	exec 7>set/fifo
	mkdir set2 set3
	gives 0 dump -R -t $pid -D set2 -W set -o fifo -v4
	exec 7>&-
	wait $!
	says read 'Dumping finished'
	timeout 60 "$criu" dump -R -t $pid -D set3 -o /dev/stderr -v4 </dev/null 2>err || fail "no log to /dev/stderr"
	says err 'Dumping finished'
	mkdir set4
	ln -s /proc/self/fd/2 set/stderr
	chown -h 65534 set/stderr
	timeout 60 "$criu" dump -R -t $pid -D set4 -W set -o stderr -v4 </dev/null 2>err || fail "no log to somebody's /dev/stderr"
	says err 'Dumping finished'
	passes
}

case_log_of_each_task_that_leads_elsewhere() {
	make_set
	echo precious >precious
	ln -s ../precious set/restore.log.$pid
	chown -h 65534 set/restore.log.$pid
	gives 0 restore -d -D set -v4 -o restore.log --log-pid
	says set/restore.log "cannot open a log for pid $pid"
	[ "$(cat precious)" = precious ] || fail "the file behind the link was written"
	passes
}

# Who reads the messages may stop reading.
case_reader_leaves() {
	mkdir set
	start
	mkfifo fifo
	: <fifo &
	exec 7>fifo
	wait $!
	timeout 60 "$criu" dump -t $pid -D set -v4 --display-stats </dev/null >&7 2>&7 || fail "the dump ended with status $?"
	gone
	timeout 60 "$criu" restore -d -D set -v4 --display-stats </dev/null >&7 2>&7 || fail "the restore ended with status $?"
	exec 7>&-
	grep -Eq '^Sig(Pnd|Ign|Cgt):.*[13579bdf]...$' /proc/$pid/status && fail "SIGPIPE is left with the victim"
	passes
}

# --- what a run leaves and says ---------------------------------------------------------------------------------------

case_pidfile() {
	make_set
	: >set/taken
	gives 1 restore -d -D set --pidfile taken
	says err 'taken' 'exists already'
	mkdir work
	gives 1 restore -d -D set --pid taken
	says err 'taken' 'exists already'
	gives 1 check --pid taken
	says err 'not a number'
	gives 0 restore -d -D set -W work --pidfile pid
	[ "$(od -An -c work/pid | tr -d ' ')" = "$(printf %s $pid | od -An -c | tr -d ' ')" ] || fail "pidfile: $(od -c work/pid)"
	passes
}

case_statistics() {
	mkdir set
	start
	gives 0 dump -t $pid -D set --display-stats
	says out 'Freezing time: [0-9]+ us' 'Frozen time: ' 'Memory dump time: ' 'Memory write time: [1-9]' \
		'Memory pages scanned: [1-9]' 'Memory pages written: [1-9]'
	[ $(sed -n 's/^Memory pages written: //p' out) -eq $(($(cat set/pages-*.img | wc -c) / 4096)) ] || fail "pages written"
	gone
	gives 0 restore -d -D set --display-stats
	says out 'Forking time: [0-9]+ us' 'Restore time: [1-9]' 'Pages restored: [1-9]'
	passes
}

# Freed pages are holes in a file that is as long as before.
case_auto_dedup() {
	make_set
	local before
	before=$(cat set/pages-*.img | wc -c)
	gives 0 restore -d -D set --auto-dedup
	[ "$(cat set/pages-*.img | wc -c)" = "$before" ] || fail "a pages file has another length"
	[ "$(du -k set/pages-*.img | awk '{ n += $1 } END { print n }')" -lt 32 ] || fail "pages stay: $(du -k set/pages-*.img)"
	passes
}

case_leave() {
	local state
	mkdir one two three
	start
	gives 0 dump -t $pid -D one -s -R
	gives 0 dump -t $pid -D two -R -s
	state=$(awk '/^State/ { print $2 }' /proc/$pid/status)
	[ "$state" = T ] || fail "the last of -R and -s wins: state $state"
	kill -CONT $pid
	gives 0 dump -t $pid -D three
	gone
	gives 0 restore -d -D three -s
	state=$(awk '/^State/ { print $2 }' /proc/$pid/status)
	[ "$state" = T ] || fail "restore -s: state $state"
	for each in $(pgrep -x victim); do kill -CONT $each; done
	passes
}

# Without another process, in whose time the state could change.
look_at_state() {
	read -r state </proc/$1/stat
	state=${state##*) }
	state=${state:0:1}
}

# took: seconds since $since, in tenths.
took() {
	local now=${EPOCHREALTIME/./}
	echo $(((now - since) / 100000))
}

case_timeout() {
	mkdir set
	start unstoppable
	within 3000 grep -qs handle_userfault /proc/$pid/wchan || exit 77
	for n in 1 2 3; do # on a busy machine one may be late
		since=${EPOCHREALTIME/./}
		gives 1 dump -t $pid -D set --timeout 1
		took=$(took)
		[ $took -ge 10 ] || fail "after $took tenths of a second"
		[ $took -ge 95 ] || break
	done
	[ $took -lt 95 ] || fail "after $took tenths of a second, as without it"
	says err "^criu: dump: pid $pid \\(victim\\).*does not stop" '^hint: --timeout SECONDS'
	grep -q '^TracerPid:.0$' /proc/$pid/status || fail "it is traced"
	kill -KILL $pid
}

# Nothing completes.
case_io_wait() {
	mkdir set
	start waiting aio
	since=${EPOCHREALTIME/./}
	gives 1 dump -t $pid -D set --io-wait 2
	[ $(took) -ge 20 ] || fail "after $(took) tenths of a second"
	says err 'request is in flight'
	passes
}

# On processors that others keep busy a process of this policy hardly gets to run, not even to its stop.
case_stopped_at_once() {
	local busy=() n state
	mkdir one two
	start
	for each in $(pgrep -x victim); do chrt --all-tasks --idle --pid 0 $each; done
	[ ! -e /proc/$pid/autogroup ] || echo 19 >/proc/$pid/autogroup
	gives 0 dump -t $pid -D one
	gone
	for ((n = 3 * $(nproc); n > 0; n--)); do
		setsid timeout 20 bash -c 'while :; do :; done' &
		busy+=($!)
	done
	gives 0 restore -d -s -D one
	look_at_state $pid
	[ $state = T ] || fail "restore -s: state $state"
	gives 0 dump -t $pid -D two
	gone
	gives 0 restore -d -D two
	look_at_state $pid
	[ $state = T ] || fail "restored stopped: state $state"
	kill "${busy[@]}"
	for each in $(pgrep -x victim); do kill -CONT $each; done
	passes
}

# --- around a restored tree -------------------------------------------------------------------------------------------

parent_of() {
	awk '/^PPid/ { print $2 }' /proc/$1/status
}

case_detached() {
	make_set
	gives 0 restore -D set --restore-detached
	[ "$(parent_of $pid)" = 1 ] || fail "its parent is $(parent_of $pid)"
	passes
}

case_attached() {
	make_set
	make_hook
	"$criu" restore -D set --action-script "$PWD/hook" </dev/null >out 2>err &
	local waiter=$!
	within 3000 grep -qs '^post-resume ' hooks || fail "it is not restored"
	[ "$(parent_of $pid)" = $waiter ] || fail "its parent is $(parent_of $pid), not $waiter"
	passes
	wait $waiter || fail "status $?"
}

case_sibling() {
	make_set
	cat >caller <<-CALLER
		#!/bin/bash
		"$criu" restore -d -S -D set </dev/null >out 2>err || exit
		awk '/^PPid/ { print \$2 }' /proc/$pid/status >parent
		echo \$\$ >me
	CALLER
	bash caller || fail "restore failed"
	cmp -s parent me || fail "its parent is $(cat parent), not $(cat me)"
	passes
}

case_exec_cmd() {
	make_set
	cat >keeper <<-'KEEPER'
		#!/bin/bash
		echo "$@" >../arguments
		awk '/^PPid/ { print $2 }' /proc/$1/status >../parent
		echo $$ >../me
		exit 7
	KEEPER
	chmod 755 keeper
	gives 7 restore -D set --exec-cmd -- "$PWD/keeper" $pid -D --frob
	[ "$(cat arguments)" = "$pid -D --frob" ] || fail "arguments: $(cat arguments)"
	cmp -s parent me || fail "its parent is $(cat parent), not $(cat me)"
	passes
	gives 1 restore -D set --exec-cmd -- ./no-such-command
	says err 'no-such-command'
}

# The command has what is left open.
case_close() {
	make_set
	gives 0 restore -D set --exec-cmd --close 8 -- /bin/sh -c 'ls -l /proc/$$/fd >../descriptors' 8<victim.out 9<victim.out
	grep -q ' 9 -> ' descriptors || fail "descriptor 9 is closed, too: $(cat descriptors)"
	! grep -q ' 8 -> ' descriptors || fail "--close 8 does not"
}

# --- hooks ------------------------------------------------------------------------------------------------------------

# Both are known, for a dump.
case_options_without_a_meaning() {
	make_set
	gives 0 restore -d -D set --tree 5 --network-lock skip
	says err '^Warn .*--tree means nothing to a restore' '^Warn .*--network-lock means nothing to a restore'
	passes
}

case_hooks() {
	mkdir set
	make_hook
	start
	gives 0 dump -t $pid -D set --action-script "$PWD/hook"
	gone
	printf '%s %s %s 0\n' pre-dump $pid "$PWD/set" post-dump $pid "$PWD/set" | cmp -s - hooks || fail "hooks: $(cat hooks)"
	rm hooks
	gives 0 restore -d -D set --action-script ./hook
	printf '%s %s %s 0\n' pre-restore none "$PWD/set" post-restore $pid "$PWD/set" pre-resume $pid "$PWD/set" \
		post-resume $pid "$PWD/set" | cmp -s - hooks || fail "hooks: $(cat hooks)"
	passes
}

# The last script given runs first; all run, and one that fails is enough.
case_several_hooks() {
	mkdir set
	make_hook
	printf '#!/bin/sh\necho second >>%s/hooks; exit 3\n' "$PWD" >second
	chmod 755 second
	start
	gives 1 dump -t $pid -D set --action-script "$PWD/hook" --action-script "$PWD/second"
	[ "$(sed 's/ .*//' hooks | paste -sd,)" = second,pre-dump ] || fail "hooks: $(cat hooks)"
	[ -z "$(ls set)" ] || fail "left behind: $(ls set)"
	passes
}

case_failing_hooks() {
	local each
	mkdir one two
	start
	make_hook pre-dump 5
	gives 1 dump -t $pid -D one --action-script "$PWD/hook"
	says err '^criu: dump: a pre-dump script failed with status 5$' "action script $PWD/hook: pre-dump failed"
	[ -z "$(ls one)" ] || fail "left behind: $(ls one)"
	make_hook post-dump 5
	gives 5 dump -t $pid -D two --action-script "$PWD/hook"
	says err '^criu: dump: the images are complete, but a post-dump script failed with status 5: the tasks were resumed$'
	[ -e two/inventory.img ] || fail "the images are complete"
	kill -0 $pid || fail "the tree should go on"
	passes
	gone
	rm -rf two
	mkdir two
	start
	gives 0 dump -t $pid -D two
	gone
	for each in pre-restore post-restore; do
		make_hook $each 5
		gives 1 restore -d -D two --action-script "$PWD/hook"
		says err "^criu: restore: a $each script failed with status 5\$"
		[ ! -e /proc/$pid ] || fail "a failed restore left $pid"
	done
	make_hook pre-resume 5
	gives 0 restore -d -D two --action-script "$PWD/hook"
	passes
	gone
	rm -rf two
	mkdir two
	start
	gives 0 dump -t $pid -D two
	gone
	make_hook post-resume 5
	gives 0 restore -d -D two --action-script "$PWD/hook"
	passes
	start
	gives 1 dump -t $pid -D one --action-script "$PWD/no-such-hook"
	says err '^criu: dump: a pre-dump script cannot be run: No such file or directory$'
	passes
}

# Whoever is killed when the images are complete has somebody who says so and ends the tree in its place.
case_killed_worker() {
	mkdir set
	start
	printf '#!/bin/sh\n[ $CRTOOLS_SCRIPT_ACTION != post-dump ] || kill -KILL $PPID\n' >hook
	chmod 755 hook
	run dump -t $pid -D set -v2 --action-script "$PWD/hook" 2>shell
	[ $status -ne 0 ] || fail "it should fail"
	says err 'Warn .*the worker, pid [0-9]+, was killed by SIGKILL .*: its rescuer carries the run to its end'
	gone
	gives 0 restore -d -D set
	passes
}

# A restore tells what it cannot do where it is, and does the rest.
case_restore_warns() {
	make_set
	mkdir set/restore.log.$pid
	gives 0 restore -d -D set -v2 -o restore.log --log-pid
	says set/restore.log "Warn .*--log-pid: cannot open a log for pid $pid: Is a directory"
	passes
	gone
	rm -rf set
	mkdir set
	start
	echo 123456 >/proc/$pid/timerslack_ns || exit 77
	gives 0 dump -t $pid -D set
	gone
	timeout 60 chrt -f 1 "$criu" restore -d -D set -v2 </dev/null >out 2>err || exit 77
	says err 'Warn .*a restore under a real-time policy sets no timer slacks'
	passes
}

# --manage-cgroups=none and ignore give up in which cgroups the tree lives; any other value does not.
case_manage_cgroups() {
	local group=/sys/fs/cgroup/unified/criu-cli.$RANDOM each
	mkdir $group 2>/dev/null || { group=/sys/fs/cgroup/criu-cli.$RANDOM && mkdir $group 2>/dev/null; } || exit 77
	start
	echo $pid >$group/cgroup.procs || { rmdir $group; exit 77; }
	for each in '' --manage-cgroups --manage-cgroups=soft --manage-cgroups=full --manage-cgroups=strict --manage-cgroups=props; do
		mkdir -p set
		gives 1 dump -t $pid -D set $each
		says err "pid $pid .*cgroup" '^hint: --manage-cgroups=ignore'
	done
	for each in none ignore; do
		rm -rf set && mkdir set
		gives 0 dump -t $pid -D set -R --manage-cgroups=$each
	done
	gives 1 dump -t $pid -D nowhere --manage-cgroups=none
	rm -rf set && mkdir set
	gives 0 dump -t $pid -D set --manage-cgroups=none
	gone
	within 100 rmdir $group || fail "the group is not empty"
	gives 0 restore -d -D set --manage-cgroups=none
	passes
}

# By which signal a half-restored process ended.
case_killed_in_restore() {
	mkdir set
	start
	gives 0 dump -t $pid -D set
	gone
	printf '#!/bin/sh\ncase $CRTOOLS_SCRIPT_ACTION in post-restore) kill -KILL $CRTOOLS_INIT_PID; sleep .1;; esac\n' >hook
	chmod 755 hook
	gives 1 restore -d -D set --action-script "$PWD/hook"
	says err "pid $pid .* was killed by SIGKILL while it was being restored"
	says err 'hint: .*lack of memory'
	[ ! -e /proc/$pid ] || fail "a failed restore left $pid"
}

# Without kcmp(2) nobody knows what threads share: not even those who have nothing open are dumped.
case_without_kcmp() {
	local kcmp=312 each
	mkdir set
	setsid python3 -c 'import os, threading, time
os.closerange(0, 300)
threading.Thread(target=time.sleep, args=(99,)).start()' &
	pid=$!
	disown
	within 3000 grep -qs '^Threads:.2$' /proc/$pid/status || fail "no second thread"
	for each in "dump -t $pid -R -D set" "check --pid $pid"; do
		! "$(dirname "$self")/../lib/deny.py" $kcmp "$criu" $each >out 2>err || fail "$each should fail"
		cat out >>err
		says err "pid $pid .*: cannot tell what its processes and threads share: kcmp: Function not implemented" \
			'hint: a kernel without CONFIG_KCMP'
	done
	[ -z "$(ls set)" ] || fail "left behind: $(ls set)"
	gives 0 dump -t $pid -R -D set
	kill -KILL $pid
}

# What a dump hears from the thread itself is told of a running one, too.
case_personality_of_thread() {
	local each
	mkdir set
	setsid python3 -c 'import ctypes, threading, time
def own():
	ctypes.CDLL(None).personality(0x40000)
	time.sleep(99)
threading.Thread(target=own).start()' &
	pid=$!
	disown
	within 3000 grep -qs '^Threads:.2$' /proc/$pid/status || fail "no second thread"
	within 3000 grep -qs 00040000 /proc/$pid/task/*/personality || fail "no personality of its own"
	for each in "dump -t $pid -R -D set" "check --pid $pid"; do
		! "$criu" $each >out 2>err || fail "$each should fail"
		cat out >>err
		says err "pid $pid .*, thread [0-9]*: has a personality of its own"
	done
	[ -z "$(ls set)" ] || fail "left behind: $(ls set)"
	kill -KILL $pid
}

# One reason, not another one that follows from it.
case_child_in_other_namespace() {
	local each child
	mkdir set
	setsid sh -c 'exec </dev/null >/dev/null 2>&1; unshare --uts sleep 99 & echo $! >child; wait' &
	pid=$!
	disown
	within 3000 grep -qs . child && child=$(cat child)
	within 3000 grep -qs sleep /proc/$child/comm || fail "no child"
	for each in "dump -t $pid -R -D set" "check --pid $pid"; do
		! "$criu" $each >out 2>err || fail "$each should fail"
		cat out >>err
		says err "pid $child .*: lives in another uts namespace"
		! grep -q 'time namespace' err || fail "$each names something else, too"
	done
	kill -KILL $child $pid
}

# From inside the first process could not be dumped either.
case_first_of_other_namespace() {
	local child
	mkdir set
	setsid unshare --pid --fork --kill-child sh -c 'exec </dev/null >/dev/null 2>&1; sleep 99; :' &
	pid=$!
	disown
	within 3000 grep -qs . /proc/$pid/task/$pid/children || fail "no child"
	read -r child </proc/$pid/task/$pid/children
	! "$criu" dump -t $child -R -D set 2>err || fail "the dump should fail"
	says err "pid $child .*: lives in another pid namespace" "hint: dump its children inside that namespace"
	kill -KILL $child $pid
}

# Each thread has a tracer of its own.
case_traced_thread() {
	local each tid
	mkdir set
	setsid python3 -c 'import threading, time
threading.Thread(target=time.sleep, args=(99,)).start()
time.sleep(99)' &
	pid=$!
	disown
	within 3000 grep -qs '^Threads:.2$' /proc/$pid/status || fail "no second thread"
	tid=$(ls /proc/$pid/task | grep -vx $pid)
	python3 -c 'import ctypes, sys, time
ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) == 0 and time.sleep(99)' $tid &
	tracer=$!
	disown
	within 3000 grep -qs "^TracerPid:.$tracer\$" /proc/$pid/task/$tid/status || fail "not traced"
	for each in "dump -t $pid -R -D set" "check --pid $pid"; do
		! "$criu" $each >out 2>err || fail "$each should fail"
		cat out >>err
		says err "pid $pid .*, thread $tid: is traced by pid $tracer .python3. already" 'hint: detach the tracer first'
	done
	[ -z "$(ls set)" ] || fail "left behind: $(ls set)"
	kill -KILL $tracer $pid
}

# --- check and cpuinfo ------------------------------------------------------------------------------------------------

# option_names: the long options in a text, in both spellings where --[no-]NAME stands for two.
option_names() {
	sed 's/--\[no-\]\([a-z0-9-]*\)/--\1 --no-\1/' | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u
}

# What is offered where the line ends with these words.
completed() {
	COMP_WORDS=("$criu" "$@") COMP_CWORD=$#
	_criu
	printf '%s\n' "${COMPREPLY[@]}"
}

case_manual() {
	local manual=$source/doc/criu.8 each
	gives 0 --help
	sed 's/\\-/-/g; s/\\f[BIR]//g; s/--no- NAME//' "$manual" | tee text | option_names >named
	grep -v '(not supported yet)' out | option_names | grep -v '^--no-' >there
	[ $(wc -l <there) -gt 40 ] || fail "only $(wc -l <there) options found in the help"
	each=$(comm -23 there named | xargs)
	[ -z "$each" ] || fail "options that the manual lacks: $each"
	each=$(option_names <out | comm -13 - named | xargs)
	[ -z "$each" ] || fail "options of the manual that do not exist: $each"
	for each in $(sed -n '/^Commands:/,/^$/{/not supported yet/d; s/^  \([a-z-]*\) .*/\1/p}' out); do
		grep -Eq "^\.B $each( |$)" text || fail "the manual has no entry for $each"
	done
	command -v man groff >where && [ $(wc -l <where) -eq 2 ] || return 0
	each=$(LC_ALL=C man --warnings -E UTF-8 -l -Tutf8 -Z "$manual" 2>&1 >/dev/null)
	[ -z "$each" ] || fail "the manual is not clean: $each"
}

case_completion() {
	. "$source/scripts/completion.bash"
	gives 0 --help
	compopt() { :; }
	[ "$(completed --pidf)" = --pidfile ] || fail "--pidf becomes: $(completed --pidf)"
	sed '/^Names for check/,$d' out | option_names | grep -v '^--no-' | grep -vxFf <(completed --) >lacks
	[ ! -s lacks ] || fail "options that are not offered: $(xargs <lacks)"
	[ "$(completed rest)" = restore ] || fail "rest becomes: $(completed rest)"
	[ "$(completed check --feature pidfd_st)" = pidfd_store ] || fail "features are not offered"
}

case_check() {
	gives 0 check
	[ "$(cat out)" = "Looks good." ] || fail "check says: $(cat out)"
	CRIU_MASK_FEATURES=kcmp gives 1 check
	silent out
	says err 'Warn .*Does not look good.'
	CRIU_MASK_FEATURES=pidfd_store gives 1 check --extra
	[ "$(head -1 out)" = "Looks good but some kernel features are missing" ] && [ $(wc -l <out) -eq 3 ] ||
		fail "check --extra says: $(cat out)"
	CRIU_MASK_FEATURES=pidfd_store gives 0 check
	CRIU_MASK_FEATURES=pidfd_store gives 0 check --extra --no-extra
	gives 1 check --experimental # 32-bit tasks are not there
	gives 1 check --all
	gives 1 check surplus
}

case_check_feature() {
	local each
	gives 0 check --feature mnt_id
	[ "$(cat out)" = "mnt_id is supported" ] || fail "it says: $(cat out)"
	gives 0 check --feature=kcmp_epoll
	gives 0 check --feature frob --feature clone3_set_tid
	CRIU_MASK_FEATURES=mnt_id gives 1 check --feature mnt_id
	silent out
	gives 1 check --feature list
	silent out
	says err 'no feature is called "list"'
	for each in mnt_id mem_dirty_track aio_remap timerfd tun tun_ns userns fdinfo_lock seccomp_suspend seccomp_filters \
		loginuid cgroupns autofs tcp_half_closed compat_cr uffd uffd-noncoop can_map_vdso sk_ns sk_unix_file \
		net_diag_raw nsid link_nsid kcmp_epoll timens external_net_ns clone3_set_tid newifindex nftables \
		has_ipt_legacy pidfd_store ns_pid apparmor_stacking network_lock_nftables sockopt_buf_lock memfd_hugetlb \
		move_mount_set_group openat2 get_rseq_conf ipv6_freebind pagemap_scan timer_cr_ids overlayfs_maps \
		breakpoints pagemap_scan_guard_pages; do
		run check --feature $each
		! grep -q 'no feature is called' err || fail "$each is not known"
	done
	# Who asks for these uses what they are for.
	"$criu" --help | grep -q -- '--\[no-\]track-mem .*not supported' && gives 1 check --feature mem_dirty_track
	"$criu" --help | grep -q -- '--lazy-pages .*not supported' && gives 1 check --feature uffd-noncoop
	true
}

case_cpuinfo() {
	mkdir set plain
	gives 0 cpuinfo dump -D set
	[ -s set/cpuinfo.img ] || fail "no cpuinfo.img"
	gives 0 cpuinfo check -D set
	gives 0 cpuinfo check -D set --cpu-cap=all
	gives 1 cpuinfo check -D plain
	start
	gives 0 dump -t $pid -D plain -R
	[ ! -e plain/cpuinfo.img ] || fail "cpuinfo.img unasked"
	rm -f plain/*
	gives 0 dump -t $pid -D plain -R --cpu-cap=none
	[ ! -e plain/cpuinfo.img ] || fail "cpuinfo.img with --cpu-cap=none"
	rm -f plain/*
	gives 0 dump -t $pid -D plain --cpu-cap
	[ -e plain/cpuinfo.img ] || fail "no cpuinfo.img with --cpu-cap"
	gone
	gives 0 restore -d -D plain --cpu-cap=cpu
	passes
}

# What an earlier dump left in the directory is not taken for part of this one.
case_stale_images() {
	local each
	mkdir set
	for each in tty-info tty-data remap-fpath memfd pipes-data fifo-data filelocks cgroup reg-files vmas-2 sk-queues; do
		echo stale >set/$each.img
	done
	start
	gives 0 dump -t $pid -D set
	gone
	gives 0 restore -d -D set
	passes
}

# What is read of the kernel's own structures is proven on criu itself, also where it may not run on each processor.
case_on_one_processor() {
	local first
	first=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
	mkdir set
	victim=$TEST_B/zdtm/vfork_threads
	start
	"$criu" check --all >all
	taskset -c $first "$criu" check --all >one
	cmp -s all one || fail "$(diff all one)"
	taskset -c $first "$criu" dump -t $pid -D set >out 2>err || fail "status $?"
	gone
	gives 0 restore -d -D set
	passes
}

# Who waits in a vfork is known to the kernel's own structures alone.
case_vfork_without_bpf() {
	local each
	mkdir set
	victim=$TEST_B/zdtm/vfork_sleeping_child
	start read
	for each in kernel_memory process_facts; do
		CRIU_MASK_FEATURES=$each gives 1 dump -t $pid -D set
		says err 'pid [0-9]+ \(vfork_sleeping_\), thread [0-9]+: waits for the end of its vfork' 'hint: try again'
		[ ! -e set/inventory.img ] || fail "there is a set"
	done
	passes
}

# Each line: STATUS|PROGRAM of test/zdtm and its arguments|FEATURES that are missing|options|what is said. The programs
# go on as if there had been no dump.
case_features_missing() {
	local expected program features options words seen=0
	while IFS='|' read -r expected program features options words; do
		rm -rf set && mkdir set
		setsid $TEST_B/zdtm/$program </dev/null >victim.out 2>&1 &
		pid=$!
		disown
		within 3000 grep -Eqs '^(READY|SKIP)' victim.out || fail "$program does not start: $(cat victim.out)"
		! grep -q '^SKIP' victim.out || continue
		CRIU_MASK_FEATURES=$features gives $expected dump -t $pid -R -v2 -D set $options
		says err "$words"
		[ $expected -eq 0 ] || [ -z "$(ls -A set)" ] || fail "$program: left: $(ls -A set)"
		passes
		gone
		seen=$((seen + 1))
	done <<-'END'
		0|eventfd|kernel_memory,fdinfo_semaphore||fd 3, eventfd: neither this kernel nor a BPF program tells whether it is a semaphore
		0|proc_files_before mem|kernel_memory||/mem: whether it was opened before process [0-9]+ has executed its program cannot be told
		0|exit_signal executed|kernel_memory||whether its parent has executed .*gets SIGCHLD instead of signal 10 at its end, cannot be told
		0|semaphore_undo thread|kernel_memory||whether System V semaphores are adjusted when it ends .SEM_UNDO. cannot be told
		1|semaphore_undo held|kernel_memory||may have to be adjusted .*by how much cannot be read
		0|keyring_linked|kernel_memory||whether it has the session keyring of its user, or another one with a link to that, cannot be told
		0|temporary_files|kernel_memory||whether it can be given a name .O_TMPFILE without O_EXCL. cannot be told
		0|io_ports|kernel_memory,task_facts,thread_facts||whether it may use all I/O ports .iopl. cannot be told
		1|memory_policy|bpf_vmas||has a NUMA policy .mbind. of which cannot be told whether it or another mapping has set it
		0|terminal_output paper|kernel_memory||terminal /dev/pts/[0-9]+: a line that is being typed would be lost
		1|terminal_data|kernel_memory||fd 3, /dev/ptmx: terminal: read what waits in it: Operation not supported
		1|terminal_output|kernel_memory||terminal /dev/pts/[0-9]+: a status byte of packet mode waits to be read
		1|terminal_output|kernel_memory||terminal: read by what its output is stopped: Operation not supported
		0|uprobes|kernel_memory|--allow-uprobes|whether it is in a function whose return is traced by a uprobe cannot be told
		0|text_patched|kernel_memory||there are trap instructions in its text, and whether they are those of uprobes cannot be told
		0|file_openers|kernel_memory||/proc/kallsyms: with whose rights it was opened cannot be told .*those of the restore
		0|timer_slack|kernel_memory,task_facts||which timer slack it goes back to with PR_SET_TIMERSLACK 0 cannot be told
		0|dead_leader|kernel_memory,task_facts||whether its first thread, which has ended, had asked for a signal .*cannot be told
		1|kernel_log|kernel_memory||fd 3, /dev/kmsg: how much of the kernel's log was read cannot be told
		1|user_dispatch|syscall_user_dispatch||thread [0-9]+: it catches its system calls .*, which this kernel does not let us read
		1|io_uring|kernel_memory||io_uring: find out what state it is in: Operation not supported
	END
	[ $seen -ge 12 ] || fail "only $seen programs ran"
}

# The first process of its user that has to do with keyrings: it gives itself none, and so none to what it restores.
case_keyring_of_new_user() {
	mkdir set
	victim=$TEST_B/zdtm/keyring_user
	start
	gives 0 dump -t $pid -D set
	gone
	python3 - "$criu" >out 2>err <<-'END' || fail "restore: $(cat err)"
		import ctypes, os, sys
		user = 23456
		keyctl = lambda *args: ctypes.CDLL(None, use_errno=True).syscall(250, *args)
		if os.fork() == 0:
		    os.setresuid(user, user, user)
		    keyctl(21, keyctl(0, -5, 0))  # KEYCTL_INVALIDATE: of an earlier run
		    os._exit(0)
		os.wait()
		os.setresuid(user, 0, 0)
		os.execv(sys.argv[1], ["criu", "restore", "-d", "-D", "set"])
	END
	passes
}

# What a tree has inherited is warned of once.
case_oom_score_without_bpf() {
	mkdir set
	victim=$TEST_B/zdtm/wide_tree
	start
	echo 300 | tee /proc/$pid/oom_score_adj $(printf '/proc/%s/oom_score_adj ' $(cat /proc/$pid/task/$pid/children)) >/dev/null
	CRIU_MASK_FEATURES=kernel_memory,task_facts gives 0 dump -R -v2 -t $pid -D set
	says err 'pid [0-9]+ \(wide_tree\): how far it, .* oom_score_adj \(300\)'
	[ $(grep -c oom_score_adj err) -eq 1 ] || fail "warned of more than once"
	passes
}

# An open file description lock names no process: that of another program is none that a mapping keeps.
case_lock_of_another_program() {
	local other
	mkdir set
	victim=$TEST_B/zdtm/lock_mapped
	start
	python3 -c '
import fcntl, struct, time
file = open("shared", "r+b")
fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open("locked", "w")
time.sleep(60)' &
	other=$!
	within 3000 [ -e locked ] || fail "no lock"
	gives 0 dump -t $pid -D set
	gone
	gives 0 restore -d -D set
	kill $other
	passes
}

# A limit that leaves no room for all threads is named, and nothing of the tree is left.
case_too_few_processes() {
	local group=/sys/fs/cgroup/pids/criu-cli.$RANDOM
	mkdir set
	victim=$TEST_B/zdtm/threads
	start 20
	gives 0 dump -t $pid -D set
	gone
	mkdir $group 2>/dev/null || exit 77 # no cgroup that limits processes
	echo 5 >$group/pids.max
	(
		echo $BASHPID >$group/cgroup.procs
		gives 1 restore -d -D set
	)
	status=$?
	within 100 rmdir $group 2>/dev/null || fail "processes are left"
	[ $status -eq 0 ] || exit $status
	says err 'pid [0-9]+ \(threads\): create thread [0-9]+: Resource temporarily unavailable' 'hint: .*pids.max'
	gives 0 restore -d -D set
	passes
}

# The child is about to execute what takes its time to be opened, and does not stop: it is waited for.
case_vfork_slow_exec() {
	mkdir set set/more
	victim=$TEST_B/zdtm/vfork_slow_exec
	start
	gives 0 dump -R -t $pid -D set
	gives 0 dump -t $pid -D set/more
	gone
	gives 0 restore -d -D set/more
	passes
}

# A set with one is not for other programs, and damage in what says so is found.
case_vfork_other_readers() {
	mkdir set
	victim=$TEST_B/zdtm/vfork_sleeping_child
	start read
	gives 0 dump -t $pid -D set
	gone
	grep -q vfork set/inventory.img || fail "the inventory does not name it"
	gives 0 restore -d -D set
	passes
}

# --- all of them ------------------------------------------------------------------------------------------------------

if [ "${1:-}" = --inside ]; then
	unset CRIU_CONFIG_FILE CRIU_DEPRECATED
	export HOME=$3
fi
run_cases "$@"
