#!/bin/bash
# real.sh [NAME ...]: real programs, dumped in the middle of their work, going on, dumped again, killed and restored, all
# of it twice; what they produce has to be what an undisturbed run produces. Each runs in a pid and mount namespace of its
# own. CRIU and TEST_B come from the environment, LONG=1 makes their work larger, and adds others.
set -u
self=$(realpath "$0")
. "$(dirname "$self")/../lib/close-others.sh"
here=$(dirname "$self")
languages=$here/languages
criu=${CRIU:?the program under test}
size=1
usual="python pipeline sqlite perl threads node asyncio bash workers processes"
others="dash zsh valgrind qemu java go ruby lua php guile sbcl ocaml ghc tcl emacs git make gcc tar xz zstd sort video timeout \
	tail locks fifos rustc luajit pypy3 fish mono swipl openmp sanitized mariadbd cpython"

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
	asyncio) exec setsid /usr/bin/python3 -I "$here/asynchronous.py" "$size" ;;
	workers) exec setsid node "$here/workers.js" "$size" ;;
	processes) exec setsid /usr/bin/python3 -I "$here/processes.py" "$size" ;;
	bash | dash) exec setsid "$1" "$languages/work.sh" $((size * 4000)) ;;
	zsh) exec setsid zsh -f "$languages/work.sh" $((size * 4000)) ;;
	valgrind) exec setsid valgrind -q /bin/bash "$languages/work.sh" $((size * 300)) ;;
	qemu) exec setsid qemu-x86_64-static /bin/bash "$languages/work.sh" $((size * 300)) ;;
	java) exec setsid java -Xmx128m -cp . Work "$size" ;;
	go | ocaml | rustc | sanitized) ASAN_OPTIONS=detect_leaks=0 exec setsid ./work "$size" ;;
	openmp) OMP_NUM_THREADS=4 OMP_WAIT_POLICY=passive exec setsid ./work "$size" ;;
	ghc) exec setsid ./work "$size" +RTS -N2 ;;
	ruby) exec setsid ruby "$languages/work.rb" "$size" ;;
	lua) exec setsid lua "$languages/work.lua" "$size" ;;
	luajit) exec setsid luajit "$languages/work.lua" $((size * 5)) ;;
	pypy3) exec setsid pypy3 -I "$here/compute.py" $((size * 3)) ;;
	fish) exec setsid fish -N "$languages/work.fish" $((size * 300)) ;;
	mono) exec setsid mono work.exe "$size" ;;
	swipl) exec setsid swipl -q -g main "$languages/work.pro" -- "$size" ;;
	php) exec setsid php -n "$languages/work.php" "$size" ;;
	guile) exec setsid guile --no-auto-compile "$languages/work.scm" "$size" ;;
	sbcl) exec setsid sbcl --script "$languages/work.lisp" "$size" ;;
	tcl) exec setsid tclsh "$languages/work.tcl" "$size" ;;
	emacs) exec setsid emacs -Q --batch -l "$languages/work.el" "$size" ;;
	make) exec setsid make -s -j2 ;;
	*) exec setsid bash work.sh ;;
	esac
}

write_numbers() {
	awk -v n="$1" 'BEGIN { x = 1; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; print i, x } }'
}

# What it takes to build a program of many files.
write_sources() {
	local i
	mkdir -p src
	for i in $(seq "$1"); do
		echo "int f$i(int x) { char b[9]; __builtin_snprintf(b, 9, \"%d\", x); return x * $i + b[0]; }" > src/f$i.c
	done
	{
		for i in $(seq "$1"); do echo "int f$i(int);"; done
		echo 'int main(void) { int s = 0;'
		for i in $(seq "$1"); do echo "s += f$i(s);"; done
		echo '__builtin_printf("%d\n", s); return 0; }'
	} > src/main.c
	cat > Makefile <<-'END'
		.RECIPEPREFIX = >
		objects := $(patsubst %.c,%.o,$(wildcard src/*.c))
		result: prog
		> ./prog > $@.new; echo done >> $@.new; mv $@.new $@; rm -f prog src/*.o
		prog: $(objects)
		> gcc $^ -o $@
		%.o: %.c
		> gcc -O2 -c $< -o $@
	END
}

# Without its server, which would need sockets: it carries out a file of commands, one a line.
write_database() {
	local i
	mkdir -p data/one data/mysql
	echo default-character-set=latin1 > data/one/db.opt
	{
		echo 'use one;'
		echo 'create or replace table t (a int primary key, v int, m char(32)) engine=innodb;'
		echo 'insert into t values (1, 7919, md5(1));'
		for i in $(seq 0 14); do
			echo "insert into t select a + (1 << $i), (a + (1 << $i)) * 7919 % 1000003, md5(a + (1 << $i)) from t;"
		done
		for i in $(seq $((size * 4))); do echo "update t set v = v + $i where a % $((i + 1)) = 0;"; done
		echo 'alter table t add index i (v, m);'
		echo "select sum(v), max(m), count(*) from t into outfile '$PWD/answer';"
	} > work.sql
	cat > work.sh <<-'END'
		rm -f answer
		mariadbd --no-defaults --user=root --datadir="$PWD/data" --tmpdir="$PWD" --bootstrap --innodb-buffer-pool-size=16M \
			--innodb-flush-log-at-trx-commit=0 --log-error="$PWD/errors" < work.sql && (cat answer; echo done) > result
	END
}

write_commits() {
	cat > work.sh <<-'END'
		export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
		export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
		rm -rf tree copy
		git init -q -b one tree && cd tree && git config gc.auto 0
		for i in $(seq 20); do
			for k in $(seq 10); do seq $i $((i * k)) > f$k; done
			git add . && git commit -qm c$i
		done
		git checkout -q -b two HEAD~5 && echo y > y && git add y && git commit -qm y && git merge -q one -m m
		git repack -adq --threads=2 && git fsck --strict 2>/dev/null
		git log --format=%H | md5sum > ../result
		cd .. && git clone -q tree copy && git -C copy rev-parse HEAD >> result
		echo done >> result
	END
}

prepare() {
	local i
	case $1 in
	java) javac -J-Xmx256m -d . "$languages/Work.java" || exit 1 ;;
	go) HOME=$PWD GO111MODULE=off go build -o work "$languages/work.go" || exit 1 ;;
	ocaml) cp "$languages/work.ml" . && ocamlopt work.ml -o work || exit 1 ;;
	ghc) cp "$languages/work.hs" . && ghc -v0 -O -threaded -rtsopts work.hs -o work || exit 1 ;;
	rustc) /usr/bin/rustc -O -o work "$languages/work.rs" || exit 1 ;;
	openmp) gcc -O1 -fopenmp -o work "$languages/work.c" || exit 1 ;;
	sanitized) g++ -std=c++17 -O1 -pthread -fsanitize=address,undefined -o work "$here/load.cc" || exit 1 ;;
	mono) mcs -out:work.exe "$languages/work.cs" || exit 1 ;;
	mariadbd) write_database ;;
	git) write_commits ;;
	make) write_sources $((size * 30)) ;;
	gcc)
		cat > work.cc <<-'END'
			#include <iostream>
			#include <map>
			#include <regex>
			int main()
			{
				std::map<std::string, std::regex> all{{"x", std::regex("([a-z]+)([0-9]+)")}};
				std::string text = "abc123";
				std::smatch found;
				std::regex_match(text, found, all["x"]);
				std::cout << found[1] << found[2] << std::endl;
			}
		END
		echo 'g++ -O2 -pipe work.cc -o prog && ./prog > result && echo done >> result' > work.sh
		;;
	tar)
		mkdir in
		for i in $(seq $((size * 400))); do seq $i $((i * 30)) > in/$i; done
		cat > work.sh <<-'END'
			rm -rf copy; mkdir copy
			tar -cf - in | gzip -9 | gunzip | tar -C copy -xf - && diff -r in copy/in > result && echo done >> result
		END
		;;
	xz | zstd)
		seq $((size * 1000000)) | sed 's/3/x/; s/7/y/g' > input
		echo "$1 -q -T2 -8 < input | $1 -dc | md5sum > result && echo done >> result" > work.sh
		;;
	sort)
		write_numbers $((size * 1000000)) > input
		echo 'LC_ALL=C sort -S 4M --parallel=2 -T . input | md5sum > result && echo done >> result' > work.sh
		;;
	video)
		cat > work.sh <<-END
			ffmpeg -nostdin -v error -f lavfi -i testsrc2=duration=$((size * 8)):size=320x240 -threads 2 \
				-f rawvideo -pix_fmt yuv420p - |
				x264 --quiet --input-res 320x240 --fps 25 --threads 3 --muxer raw -o - - | md5sum > result
			echo done >> result
		END
		;;
	timeout)
		cat > work.sh <<-'END'
			timeout 3 sleep 100
			echo $? > new
			timeout -s INT 4 bash -c 'trap "echo told >> new; exit 3" INT; while :; do sleep 0.05; done'
			echo $? >> new
			echo done >> new
			mv new result
		END
		;;
	tail)
		cat > work.sh <<-'END'
			: > log
			(for i in $(seq 40); do echo line $i >> log; sleep 0.1; done; echo end >> log) &
			tail -n +1 -f --pid $$ log > result.new &
			wait %1
			until grep -q end result.new; do sleep 0.1; done
			kill %2
			(cat result.new; echo done) > result
		END
		;;
	locks)
		cat > work.sh <<-'END'
			rm -f lock
			echo 0 > count
			for k in 1 2 3 4; do
				(for i in $(seq 40); do flock lock sh -c 'x=$(cat count); sleep 0.005; echo $((x + 1)) > count'; done) &
			done
			wait
			(cat count; echo done) > result
		END
		;;
	fifos)
		cat > work.sh <<-'END'
			rm -f p q
			mkfifo p q
			(for i in $(seq 300); do echo $i; sleep 0.01; done > p) &
			(while read x; do echo $((x * x)); done < p > q) &
			sort -n < q > result
			wait
			echo done >> result
		END
		;;
	cpython)
		cat > work.sh <<-'END'
			rm -rf tmp; mkdir tmp
			/usr/bin/python3 -I -m test -v --tempdir tmp --junit-xml "$PWD/tests.xml" \
				test_thread test_threadsignals test_fork1 test_wait3 test_select test_queue test_sched test_posix test_mmap \
				test_fcntl test_pty test_threading_local test_subprocess
			echo "status $?" > new
			grep -o '<testcase name="[^"]*" status="[a-z]*" result="[a-z]*"' tests.xml | sort >> new
			echo done >> new
			mv new result
		END
		;;
	pipeline)
		write_numbers $((size * 1000000)) | gzip -1 > input.gz ;;
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
	sqlite.dump | java.dump | locks.dump | mariadbd.dump) echo --file-locks --ghost-limit 1G ;;
	sqlite.restore | java.restore | locks.restore | mariadbd.restore) echo --file-locks ;;
	*.dump) echo --ghost-limit 1G ;;
	esac
}

missing() {
	local program
	for program in $(needs "$1"); do
		command -v "$program" >/dev/null || echo "no $program"
	done
	[ "$1" != cpython ] || /usr/bin/python3 -I -c 'import test.test_fork1' 2>/dev/null || echo "no tests of CPython"
}

needs() {
	case $1 in
	python | asyncio | processes | cpython) echo /usr/bin/python3 ;;
	workers) echo node ;;
	rustc) echo /usr/bin/rustc ;;
	sqlite) echo sqlite3 ;;
	qemu) echo qemu-x86_64-static ;;
	java) echo java javac ;;
	ocaml) echo ocamlopt ;;
	tcl) echo tclsh ;;
	gcc | sanitized) echo g++ ;;
	openmp) echo gcc ;;
	mono) echo mono mcs ;;
	video) echo ffmpeg x264 ;;
	locks) echo flock ;;
	pipeline | threads | fifos) ;;
	*) echo "$1" ;;
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
	rm -rf "set$number" running
	mkdir "set$number" running
	timeout -k 1 120 "$criu" dump -R -t "$pid" -D running -v4 -o dump.log $(options_of "$name" dump) </dev/null >criu.out 2>&1 ||
		! alive || { echo "dump -R $number: status $?: $(head -c 500 criu.out)"; exit 1; }
	timeout -k 1 120 "$criu" dump -t "$pid" -D "set$number" -v4 -o dump.log $(options_of "$name" dump) </dev/null >criu.out 2>&1 || {
		local status=$?
		grep -qE 'no such process|process has ended' criu.out && ! alive && grep -q '^done$' result && return 2
		echo "dump $number: status $status: $(head -c 500 criu.out)"
		tail -5 "set$number/dump.log"
		exit 1
	}
	await_end 30 # one with much memory may take its time
	timeout -k 1 120 "$criu" restore -d -D "set$number" -v4 -o restore.log $(options_of "$name" restore) </dev/null >criu.out 2>&1 || {
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
	await_end 300
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
	. "$(dirname "$self")/../lib/own-terminals.sh"
	[[ -n "${LONG:-}" && " $usual " == *" $2 "* ]] && size=10
	run_inside "$2" "$3"
	exit
fi

passed=0 failed=0 skipped=0
for name in ${*:-$usual ${LONG:+$others}}; do
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
