/* Parsers of proc files against recorded and made-up text. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernel/proc-fdinfo.h"
#include "kernel/proc-keys.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-misc.h"
#include "kernel/proc-stat.h"
#include "kernel/proc-status.h"
#include "kernel/proc-timers.h"

/* --- limits --------------------------------------------------------------------------------------------------------
 */

static const char limits_text[] =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max nice priority         0                    18446744073709551614                     \n";

static void test_limits(void **state)
{
	struct proc_limit limits[4];

	assert_int_equal(proc_parse_limits(limits_text, limits, 3), 0);
	assert_true(limits[0].current == UINT64_MAX && limits[0].maximum == UINT64_MAX);
	assert_true(limits[1].current == 8388608 && limits[1].maximum == UINT64_MAX);
	assert_true(limits[2].current == 0 && limits[2].maximum == UINT64_MAX - 1);
	assert_int_equal(proc_parse_limits(limits_text, limits, 4), -EINVAL);
	assert_int_equal(proc_parse_limits("", limits, 1), -EINVAL);
	assert_int_equal(proc_parse_limits("Limit\nMax cpu time              many   few\n", limits, 1), -EINVAL);
}

/* --- the call a thread sleeps in -----------------------------------------------------------------------------------
 */

static void test_call(void **state)
{
	struct proc_call call;

	assert_int_equal(proc_parse_call("230 0x1 0x0 0x7ffe6e61 0xffffffffffffffff 0x5 0x6 0x7ffe 0x7f42\n", &call),
			 0);
	assert_int_equal(call.number, 230);
	assert_true(call.args[0] == 1 && call.args[2] == 0x7ffe6e61 && call.args[3] == UINT64_MAX && call.args[5] == 6);
	assert_int_equal(call.stack_pointer, 0x7ffe);
	assert_int_equal(call.instruction_pointer, 0x7f42);
	assert_int_equal(proc_parse_call("running\n", &call), -EAGAIN);
	assert_int_equal(proc_parse_call("-1 0x7ffe 0x7f42\n", &call), -EAGAIN);
	assert_int_equal(proc_parse_call("-1 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n", &call), -EAGAIN);
	assert_int_equal(proc_parse_call("", &call), -EAGAIN);
}

/* --- stat ----------------------------------------------------------------------------------------------------------
 */

static const char stat_text[] =
    "4242 (a) R (b c)) S 1 4242 4240 34816 4250 4194560 98 1 0 0 3 4 0 0 -5 15 7 0 305070 2736128 394 "
    "18446744073709551615 94349283966976 94349283987321 140736312036032 0 0 0 0 4096 65536 1 0 0 17 1 9 2 0 0 0 "
    "94349284002896 94349284004480 94349306843136 140736312038012 140736312038032 140736312038032 "
    "140736312041451 256\n";

static void test_stat(void **state)
{
	struct proc_stat stat;

	assert_int_equal(proc_stat_parse(stat_text, &stat), 0);
	assert_int_equal(stat.pid, 4242);
	assert_string_equal(stat.comm, "a) R (b c)");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.pgid, 4242);
	assert_int_equal(stat.sid, 4240);
	assert_int_equal(stat.tty_nr, 34816);
	assert_int_equal(stat.tty_pgrp, 4250);
	assert_int_equal(stat.flags, 4194560);
	assert_int_equal(stat.user_ticks, 3);
	assert_int_equal(stat.priority, -5);
	assert_int_equal(stat.nice, 15);
	assert_int_equal(stat.thread_count, 7);
	assert_int_equal(stat.start_time_ticks, 305070);
	assert_true(stat.start_code == 94349283966976 && stat.end_code == 94349283987321);
	assert_true(stat.start_stack == 140736312036032);
	assert_int_equal(stat.exit_signal, 17);
	assert_int_equal(stat.rt_priority, 9);
	assert_int_equal(stat.policy, 2);
	assert_true(stat.start_data == 94349284002896 && stat.start_brk == 94349306843136);
	assert_true(stat.arg_start == 140736312038012 && stat.env_end == 140736312041451);
	assert_int_equal(stat.exit_code, 256);
}

static void test_stat_broken(void **state)
{
	char text[sizeof(stat_text)];
	struct proc_stat stat;
	size_t bytes;

	/* No prefix of it passes but the one that lacks just the newline, or a digit of the last number. */
	for (bytes = 0; bytes < sizeof(stat_text) - 5; bytes++) {
		memcpy(text, stat_text, bytes);
		text[bytes] = '\0';
		assert_int_equal(proc_stat_parse(text, &stat), -EINVAL);
	}
}

/* --- status --------------------------------------------------------------------------------------------------------
 */

static const char status_text[] = "Name:\ta\\nb\\\\c\n"
				  "Umask:\t0022\n"
				  "State:\tt (tracing stop)\n"
				  "Tgid:\t40\n"
				  "Ngid:\t0\n"
				  "Pid:\t41\n"
				  "PPid:\t1\n"
				  "TracerPid:\t7\n"
				  "Uid:\t0\t1\t2\t4294967294\n"
				  "Gid:\t10\t11\t12\t13\n"
				  "FDSize:\t64\n"
				  "Groups:\t4 24 27 100000 \n"
				  "NStgid:\t40\t5\n"
				  "NSpid:\t41\t6\n"
				  "NSpgid:\t40\t5\n"
				  "NSsid:\t39\t0\n"
				  "Kthread:\t0\n"
				  "VmPeak:\t    2672 kB\n"
				  "VmLck:\t      16 kB\n"
				  "VmRSS:\t    1576 kB\n"
				  "CoreDumping:\t0\n"
				  "THP_enabled:\t1\n"
				  "untag_mask:\t0xffffffffffffffff\n"
				  "Threads:\t3\n"
				  "SigQ:\t2/96365\n"
				  "SigPnd:\t0000000000000400\n"
				  "ShdPnd:\t8000000000000000\n"
				  "SigBlk:\t0000000000010000\n"
				  "SigIgn:\t0000000000001000\n"
				  "SigCgt:\t0000000180000000\n"
				  "CapInh:\t0000000000000001\n"
				  "CapPrm:\t000001fffeffffff\n"
				  "CapEff:\t000001fffeffffff\n"
				  "CapBnd:\t000001fffeffffff\n"
				  "CapAmb:\t0000000000000002\n"
				  "NoNewPrivs:\t1\n"
				  "Seccomp:\t2\n"
				  "Seccomp_filters:\t3\n"
				  "Speculation_Store_Bypass:\tthread vulnerable\n"
				  "SpeculationIndirectBranch:\tconditional enabled\n"
				  "Cpus_allowed:\t3\n";

static void test_status(void **state)
{
	AUTO_PROC_STATUS struct proc_status status = { 0 };

	assert_int_equal(proc_status_parse(status_text, &status), 0);
	assert_string_equal(status.name, "a\nb\\c");
	assert_int_equal(status.umask, 022);
	assert_int_equal(status.state, 't');
	assert_int_equal(status.tgid, 40);
	assert_int_equal(status.pid, 41);
	assert_int_equal(status.tracer_pid, 7);
	assert_true(status.uid[UID_FS] == 4294967294u && status.gid[UID_SAVED] == 12);
	assert_int_equal(status.group_count, 4);
	assert_int_equal(status.groups[3], 100000);
	assert_int_equal(status.ns_pid_count, 2);
	assert_int_equal(status.ns_pids[1], 6);
	assert_int_equal(status.ns_sids[1], 0);
	assert_int_equal(status.vm_locked_kb, 16);
	assert_int_equal(status.thp_enabled, 1);
	assert_int_equal(status.thread_count, 3);
	assert_int_equal(status.sig_queued, 2);
	assert_int_equal(status.sig_queue_limit, 96365);
	assert_true(status.sig_shared_pending == 0x8000000000000000 && status.sig_caught == 0x180000000);
	assert_true(status.cap_prm == 0x1fffeffffff && status.cap_amb == 2 && status.cap_inh == 1);
	assert_int_equal(status.no_new_privs, 1);
	assert_int_equal(status.seccomp_mode, 2);
	assert_int_equal(status.seccomp_filter_count, 3);
	assert_string_equal(status.speculation_store_bypass, "thread vulnerable");
	/* Again into the same object: what it held is released and absent keys are told. */
	assert_int_equal(proc_status_parse("Name:\tx\nGroups:\t \nState:\tZ (zombie)\n", &status), 0);
	assert_int_equal(status.group_count, 0);
	assert_int_equal(status.umask, -1);
	assert_int_equal(status.seccomp_filter_count, -1);
	assert_int_equal(status.no_new_privs, -1);
}

static void test_status_broken(void **state)
{
	struct proc_status status = { 0 };

	assert_int_equal(proc_status_parse("", &status), -EINVAL);
	assert_int_equal(proc_status_parse("Uid:\t1\t2\n", &status), -EINVAL);
	assert_int_equal(proc_status_parse("Groups:\t1 x\n", &status), -EINVAL);
	assert_int_equal(proc_status_parse("SigQ:\t1\n", &status), -EINVAL);
	assert_int_equal(proc_status_parse("no colon\n", &status), -EINVAL);
}

/* --- maps ----------------------------------------------------------------------------------------------------------
 */

static const char maps_text[] = "00400000-00401000 r--p 00000000 fe:00 1048       /bin/with space\\012line\n"
				"00401000-00495000 r-xp 00001000 fe:00 18446744073709551615 /bin/gone (deleted)\n"
				"1c8dc000-1c8fe000 rw-p 00000000 00:00 0                                  [heap]\n"
				"7f0000000000-7f0000001000 ---s 7fffff000 103:1a 7 /back\\slash\\040\n"
				"7ffd0d2f8000-7ffd0d319000 rw-p 00000000 00:00 0 \n";

static void test_maps(void **state)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };

	assert_int_equal(proc_maps_parse(maps_text, strlen(maps_text), &maps), 0);
	assert_int_equal(maps.count, 5);
	assert_string_equal(proc_vma_path(&maps, &maps.vmas[0]), "/bin/with space\nline");
	assert_int_equal(maps.vmas[0].prot, PROT_READ);
	assert_int_equal(maps.vmas[0].dev_major, 0xfe);
	assert_false(maps.vmas[0].deleted || maps.vmas[0].shared || maps.vmas[0].has_vm_flags);
	assert_true(maps.vmas[1].deleted && maps.vmas[1].inode == UINT64_MAX);
	assert_string_equal(proc_vma_path(&maps, &maps.vmas[1]), "/bin/gone (deleted)");
	assert_string_equal(proc_vma_path(&maps, &maps.vmas[2]), "[heap]");
	assert_true(maps.vmas[3].shared && maps.vmas[3].prot == PROT_NONE && maps.vmas[3].offset == 0x7fffff000);
	assert_int_equal(maps.vmas[3].dev_major, 0x103);
	assert_string_equal(proc_vma_path(&maps, &maps.vmas[3]), "/back\\slash\\040");
	assert_string_equal(proc_vma_path(&maps, &maps.vmas[4]), "");
	assert_ptr_equal(proc_maps_find(&maps, 0x401000), &maps.vmas[1]);
	assert_ptr_equal(proc_maps_find(&maps, 0x400fff), &maps.vmas[0]);
	assert_null(proc_maps_find(&maps, 0x495000));
	assert_null(proc_maps_find(&maps, 0));
}

static const char smaps_text[] = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 [anon: x]\n"
				 "Size:               2048 kB\n"
				 "KernelPageSize:        4 kB\n"
				 "MMUPageSize:           4 kB\n"
				 "Rss:                  12 kB\n"
				 "Anonymous:             8 kB\n"
				 "AnonHugePages:         0 kB\n"
				 "Swap:                  4 kB\n"
				 "SwapPss:               0 kB\n"
				 "Locked:                0 kB\n"
				 "THPeligible:           1\n"
				 "ProtectionKey:         2\n"
				 "VmFlags: rd wr mr mw me lo ac dc hg gu zz \n"
				 "7f0000200000-7f0000400000 r--s 00000000 00:0f 77 /anon_hugepage (deleted)\n"
				 "KernelPageSize:     2048 kB\n"
				 "VmFlags: rd mr me ht sl\n";

static void test_smaps(void **state)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	const struct proc_vma *vma;

	assert_int_equal(proc_maps_parse(smaps_text, strlen(smaps_text), &maps), 0);
	assert_int_equal(maps.count, 2);
	vma = &maps.vmas[0];
	assert_true(vma->has_vm_flags);
	assert_true(vma->vm_flags ==
		    (VMF_BIT(RD) | VMF_BIT(WR) | VMF_BIT(MR) | VMF_BIT(MW) | VMF_BIT(ME) | VMF_BIT(LO) | VMF_BIT(AC) |
		     VMF_BIT(DC) | VMF_BIT(HG) | VMF_BIT(GU) | VMF_BIT(UNKNOWN)));
	assert_int_equal(vma->kernel_page_bytes, 4096);
	assert_int_equal(vma->rss_bytes, 12288);
	assert_int_equal(vma->anonymous_bytes, 8192);
	assert_int_equal(vma->swap_bytes, 4096);
	assert_int_equal(vma->protection_key, 2);
	assert_string_equal(proc_vma_path(&maps, vma), "[anon: x]");
	assert_int_equal(maps.vmas[1].kernel_page_bytes, 2 << 20);
	assert_true(maps.vmas[1].vm_flags & VMF_BIT(SL));
	assert_int_equal(maps.vmas[1].protection_key, -1);
}

static void test_maps_broken(void **state)
{
	static const char *const texts[] = {
		"00400000-00401000 r--p 00000000 fe:00 1048 /no/newline",
		"00400000 r--p 00000000 fe:00 1048 /x\n",
		"00401000-00400000 r--p 00000000 fe:00 1048 /x\n",
		"00400000-00401000 r-\n",
		"VmFlags: rd\n",
		"00400000-00401000 r--p 00000000 fe 1048 /x\n",
		"\n",
	};
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(proc_maps_parse(texts[i], strlen(texts[i]), &maps), -EINVAL);
		assert_int_equal(maps.count, 0);
	}
	assert_int_equal(proc_maps_parse("", 0, &maps), 0);
}

/* --- fdinfo --------------------------------------------------------------------------------------------------------
 */

static void test_fdinfo(void **state)
{
	AUTO_FDINFO struct fdinfo info = { 0 };
	uint64_t number;

	assert_int_equal(
	    fdinfo_parse("pos:\t4096\nflags:\t02100002\nmnt_id:\t15\nino:\t1060\n"
			 "lock:\t1: FLOCK  ADVISORY  WRITE 1 00:01:1060 0 EOF\neventfd-count:               2a\n",
			 &info),
	    0);
	assert_int_equal(info.pos, 4096);
	assert_int_equal(info.flags, 02100002);
	assert_int_equal(info.mnt_id, 15);
	assert_int_equal(info.inode, 1060);
	assert_true(info.has_locks);
	assert_string_equal(fdinfo_value(&info, "lock"), "1: FLOCK  ADVISORY  WRITE 1 00:01:1060 0 EOF");
	assert_int_equal(fdinfo_number(&info, "eventfd-count", 16, &number), 0);
	assert_int_equal(number, 0x2a);
	assert_int_equal(fdinfo_number(&info, "eventfd-count", 10, &number), -EINVAL);
	assert_int_equal(fdinfo_number(&info, "eventfd-id", 10, &number), -ENOENT);
	assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t0\n", &info), 0);
	assert_int_equal(info.mnt_id, -1);
	assert_false(info.has_locks);
	assert_int_equal(fdinfo_parse("flags:\t0\n", &info), -EINVAL);
	assert_int_equal(fdinfo_parse("", &info), -EINVAL);
}

static void test_fdinfo_kinds(void **state)
{
	AUTO_FDINFO struct fdinfo info = { 0 };
	const char *value;
	uint64_t number;
	size_t cursor = 0;

	assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02\nmnt_id:\t15\nclockid: 1\nticks: 0\nsettime flags: 01\n"
				      "it_value: (0, 4999)\nit_interval: (1, 2)\n"
				      "inotify wd:1 ino:2 sdev:fe00000 mask:fce ignored_mask:0 fhandle-bytes:8 "
				      "fhandle-type:1 f_handle:0200000000000000\n"
				      "fanotify flags:10 event-flags:8000\nfanotify mnt_id:12 mflags:40 mask:1\n",
				      &info),
			 0);
	assert_string_equal(fdinfo_value(&info, "settime flags"), "01");
	assert_string_equal(fdinfo_value(&info, "it_value"), "(0, 4999)");
	value = fdinfo_value(&info, "inotify");
	assert_non_null(value);
	assert_int_equal(fdinfo_word_number(value, "sdev", 16, &number), 0);
	assert_int_equal(number, 0xfe00000);
	assert_int_equal(fdinfo_word_number(value, "wd", 10, &number), 0);
	assert_int_equal(number, 1);
	assert_int_equal(fdinfo_word_number(value, "mask", 16, &number), 0);
	assert_int_equal(number, 0xfce);
	assert_string_equal(fdinfo_word(value, "f_handle"), "0200000000000000");
	assert_null(fdinfo_word(value, "handle"));
	assert_string_equal(fdinfo_next(&info, "fanotify", &cursor), "flags:10 event-flags:8000");
	assert_string_equal(fdinfo_next(&info, "fanotify", &cursor), "mnt_id:12 mflags:40 mask:1");
	assert_null(fdinfo_next(&info, "fanotify", &cursor));
}

static void test_fdinfo_epoll(void **state)
{
	AUTO_FDINFO struct fdinfo info = { 0 };
	struct epoll_target target;

	assert_int_equal(fdinfo_parse("pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1060\n"
				      "tfd:        5 events:       19 data:     feedbeefcafe  pos:-1 ino:42a sdev:f\n"
				      "tfd:       12 events: c0000001 data:                0 \n",
				      &info),
			 0);
	assert_int_equal(fdinfo_parse_epoll(fdinfo_value(&info, "tfd"), &target), 0);
	assert_int_equal(target.fd, 5);
	assert_int_equal(target.events, 0x19);
	assert_true(target.data == 0xfeedbeefcafe && target.pos == UINT64_MAX);
	assert_int_equal(target.inode, 0x42a);
	assert_int_equal(target.sdev, 15);
	assert_int_equal(fdinfo_parse_epoll("12 events: c0000001 data: 0", &target), 0);
	assert_true(target.events == 0xc0000001 && target.inode == 0);
	assert_int_equal(fdinfo_parse_epoll("12 events: 1", &target), -EINVAL);
}

/* --- timers, mounts, uptime ----------------------------------------------------------------------------------------
 */

static void test_timers(void **state)
{
	static const char text[] = "ID: 1\nsignal: 60/00007fff86e452a8\nnotify: thread/tid.2634\nClockID: -6\n"
				   "ID: 0\nsignal: 14/0000000000000000\nnotify: signal/pid.2634\nClockID: 1\n";
	struct proc_timer *timers;
	size_t count;

	assert_int_equal(proc_timers_parse(text, &timers, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(timers[0].id, 0);
	assert_int_equal(timers[0].notify, SIGEV_SIGNAL);
	assert_int_equal(timers[1].signal, 60);
	assert_true(timers[1].sigev_value == 0x7fff86e452a8);
	assert_int_equal(timers[1].notify, SIGEV_THREAD | SIGEV_THREAD_ID);
	assert_int_equal(timers[1].notify_pid, 2634);
	assert_int_equal(timers[1].clock_id, -6);
	free(timers);
	assert_int_equal(proc_timers_parse("", &timers, &count), 0);
	assert_int_equal(count, 0);
	assert_null(timers);
	assert_int_equal(proc_timers_parse("ID: 1\nsignal: 60\n", &timers, &count), -EINVAL);
	assert_int_equal(proc_timers_parse("ID: 1\nsignal: 1/0\nnotify: x/pid.1\nClockID: 1\n", &timers, &count),
			 -EINVAL);
}

static void test_mounts(void **state)
{
	static const char text[] =
	    "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 propagate_from:3 - ext3 /dev/root rw,errors=continue\n"
	    "37 36 0:25 / /a\\134b ro shared:7 unbindable new:9 - fuse.x  rw,user_id=0\n"
	    "38 36 0:26 net:[4026532] /ns rw - nsfs nsfs rw\n";
	AUTO_PROC_MOUNTS struct proc_mounts mounts = { 0 };
	const struct proc_mount *mount;

	assert_int_equal(proc_mounts_parse(text, &mounts), 0);
	assert_int_equal(mounts.count, 3);
	mount = proc_mounts_find(&mounts, 36);
	assert_int_equal(mount->parent_mnt_id, 35);
	assert_int_equal(mount->dev_major, 98);
	assert_string_equal(mount->root, "/mnt1");
	assert_string_equal(mount->mountpoint, "/mnt 2");
	assert_string_equal(mount->options, "rw,noatime");
	assert_int_equal(mount->master_id, 1);
	assert_int_equal(mount->propagate_from, 3);
	assert_string_equal(mount->sb_options, "rw,errors=continue");
	mount = proc_mounts_find(&mounts, 37);
	assert_string_equal(mount->mountpoint, "/a\\b");
	assert_true(mount->unbindable && mount->shared_id == 7);
	assert_string_equal(mount->fstype, "fuse.x");
	assert_string_equal(mount->source, "");
	assert_string_equal(mount->sb_options, "rw,user_id=0");
	assert_string_equal(proc_mounts_find(&mounts, 38)->root, "net:[4026532]");
	assert_null(proc_mounts_find(&mounts, 39));
	assert_int_equal(proc_mounts_parse("36 35 98:0 /mnt1 /mnt rw master:1\n", &mounts), -EINVAL);
	assert_int_equal(proc_mounts_parse("36 35 98 /mnt1 /mnt rw - ext3 x rw\n", &mounts), -EINVAL);
	assert_int_equal(proc_mounts_parse("36 35 98:0 /mnt1 /mnt rw - ext3\n", &mounts), -EINVAL);
}

static void test_keys(void **state)
{
	struct proc_key key;
	uint32_t number;

	(void)state;
	assert_true(proc_keys_parse("0efac2ec I--Q---     3 perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1\n",
				    &number, &key));
	assert_int_equal(number, 0x0efac2ec);
	assert_int_equal(key.uses, 3);
	assert_true(key.is_permanent);
	assert_true(
	    proc_keys_parse("f6d2c1a0 I--Q---     1   59m 3f010000     0     0 user      name: 5\n", &number, &key));
	assert_int_equal(number, 0xf6d2c1a0);
	assert_false(key.is_permanent);
	assert_true(
	    proc_keys_parse("00000001 I--Q---     1 expd 3f010000     0     0 user      perm: 5\n", &number, &key));
	assert_false(key.is_permanent);
	assert_false(proc_keys_parse("perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1\n", &number, &key));
	assert_false(proc_keys_parse("0efac2ec I--Q--- many perm\n", &number, &key));
	assert_false(proc_keys_parse("", &number, &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),       cmocka_unit_test(test_call),
		cmocka_unit_test(test_stat),         cmocka_unit_test(test_stat_broken),
		cmocka_unit_test(test_status),       cmocka_unit_test(test_status_broken),
		cmocka_unit_test(test_maps),         cmocka_unit_test(test_smaps),
		cmocka_unit_test(test_maps_broken),  cmocka_unit_test(test_fdinfo),
		cmocka_unit_test(test_fdinfo_kinds), cmocka_unit_test(test_fdinfo_epoll),
		cmocka_unit_test(test_timers),       cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
