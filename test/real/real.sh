#!/bin/bash
# real.sh [NAME ...]: real programs, dumped twice in the middle of their work and restored; what they produce has to be
# what an undisturbed run produces. Each runs in a pid and mount namespace of its own. CRIU and TEST_B come from the
# environment, LONG=1 makes the work larger.
set -u
self=$(realpath "$0")
. "$(dirname "$self")/../lib/close-others.sh"
here=$(dirname "$self")
criu=${CRIU:?the program under test}
size=${LONG:+10}
size=${size:-1}

# What each needs and how it is started, in its working directory, with everything it makes in `result`.
start() {
	case $1 in
	python) exec setsid /usr/bin/python3 -I "$here/compute.py" "$size" ;;
	pipeline) exec setsid bash -c 'gzip -dc input.gz | sort -n -k2 | awk "{ s += \$1 * NR; s %= 1000003 } END { print NR, s }" | gzip -c |
		gzip -dc > result; echo done >> result' ;;
	sqlite) exec setsid sqlite3 -batch -init /dev/null work.db ".read work.sql" ;;
	perl) exec setsid perl "$here/words.pl" "$size" ;;
	threads) exec setsid "$TEST_B/real/load" "$size" ;;
	node) UV_USE_IO_URING=0 exec setsid node "$here/timers.js" "$size" ;;
	esac
}

prepare() {
	case $1 in
	pipeline)
		awk -v n=$((size * 1000000)) 'BEGIN { x = 1; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; print i, x } }' |
			gzip -1 > input.gz ;;
	sqlite)
		cat > work.sql <<-SQL
			.output result
			create table t (id integer primary key, value integer, text);
			begin;
			with recursive c(x) as (select 1 union all select x + 1 from c where x < $((size * 400000)))
				insert into t select x, (x * 7919) % 1000003, hex(x * 31) from c;
			update t set value = value + length(text) where id % 3 = 0;
			commit;
			create index i on t(value, text);
			select count(*), sum(value), max(text) from t;
			select group_concat(text) from (select text from t order by value, id limit 500);
			pragma integrity_check;
			.print done
		SQL
		;;
	esac
}

# sqlite locks its database and sorts in a temporary file, removed at once, that grows with the table.
options_of() {
	case $1.$2 in
	sqlite.dump) echo --file-locks --ghost-limit 1G ;;
	sqlite.restore) echo --file-locks ;;
	esac
}

missing() {
	case $1 in
	python) [ -x /usr/bin/python3 ] || echo "no python3" ;;
	sqlite) command -v sqlite3 >/dev/null || echo "no sqlite3" ;;
	perl) command -v perl >/dev/null || echo "no perl" ;;
	node) command -v node >/dev/null || echo "no node" ;;
	esac
}

launch() {
	rm -f result work.db*
	(start "$1") </dev/null >out 2>&1 &
	pid=$!
}

alive() {
	local state
	state=$(ps -o state= -p "$pid" 2>/dev/null)
	[ -n "$state" ] && [ "${state:0:1}" != Z ]
}

await_end() {
	local end=$((SECONDS + $1))
	while alive; do
		[ $SECONDS -ge $end ] && { echo "still running after $1 s"; exit 1; }
		sleep 0.05
	done
}

# 2: the program came to its end before it could be stopped.
checkpoint() {
	local number=$1 name=$2
	rm -rf "set$number"
	mkdir "set$number"
	timeout -k 1 60 "$criu" dump -t "$pid" -D "set$number" -v4 -o dump.log $(options_of "$name" dump) </dev/null >criu.out 2>&1 || {
		local status=$?
		grep -q 'no such process' criu.out && ! alive && grep -q '^done$' result && return 2
		echo "dump $number: status $status: $(head -c 500 criu.out)"
		tail -5 "set$number/dump.log"
		exit 1
	}
	alive && { echo "dump $number: process $pid is still there"; exit 1; }
	timeout -k 1 60 "$criu" restore -d -D "set$number" -v4 -o restore.log $(options_of "$name" restore) </dev/null >criu.out 2>&1 || {
		echo "restore $number: status $?: $(head -c 500 criu.out)"
		tail -5 "set$number/restore.log"
		exit 1
	}
}

# Inside the namespaces, as their first process.
run_inside() {
	local name=$1 begin took part dumped=
	cd "$2" && prepare "$name"
	begin=${EPOCHREALTIME/./}
	launch "$name"
	await_end 120
	took=$((${EPOCHREALTIME/./} - begin))
	grep -q '^done$' result || { echo "undisturbed: $(tail -3 out)"; exit 1; }
	mv result expected
	for part in 40 20 8; do
		launch "$name"
		sleep "$(printf '%d.%06d' $((took * part / 100 / 1000000)) $((took * part / 100 % 1000000)))"
		alive && checkpoint 1 "$name" && dumped=1 && break
	done
	[ -n "$dumped" ] || { echo "it ends before it can be dumped"; exit 1; }
	sleep 0.2
	alive && checkpoint 2 "$name"
	await_end $((took * 10 / 1000000 + 60))
	cmp expected result || { tail -3 out; exit 1; }
}

if [ "${1:-}" = --inside ]; then
	run_inside "$2" "$3"
	exit
fi

passed=0 failed=0 skipped=0
for name in ${*:-python pipeline sqlite perl threads node}; do
	why=$(missing "$name")
	if [ -n "$why" ]; then
		echo "SKIP real $name: $why"
		skipped=$((skipped + 1))
		continue
	fi
	dir=$(mktemp -d /tmp/real.XXXXXX)
	if out=$(timeout -k 1 900 setsid --wait unshare --pid --fork --kill-child --mount --mount-proc "$self" --inside "$name" "$dir" 2>&1); then
		echo "PASS real $name"
		passed=$((passed + 1))
	else
		echo "FAIL real $name: $out"
		failed=$((failed + 1))
	fi
	rm -rf "$dir"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
