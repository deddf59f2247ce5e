/* The command line, configuration files and option values: what is accepted, what it means, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "cmd/config.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "cmd/values.h"

#define MAX_WORDS 16

struct parsed {
	struct command_line line;
	struct error err;
	int result;
};

/* Splits text at blanks, as a shell would without quotes. */
static void parse_text(struct parsed *p, const char *text)
{
	static char copy[512];
	char *argv[MAX_WORDS + 1] = { "criu" };
	int argc = 1;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < MAX_WORDS);
		argv[argc++] = word;
	}
	*p = (struct parsed){ 0 };
	command_line_init(&p->line);
	p->result = command_line_parse(&p->line, argc, argv, &p->err);
}

static void expect_ok(struct parsed *p, const char *text)
{
	parse_text(p, text);
	if (p->result != 0)
		print_error("\"%s\": %s\n", text, p->err.text);
	assert_int_equal(p->result, 0);
}

static void expect_error(const char *text, const char *sentence)
{
	struct parsed p;

	parse_text(&p, text);
	assert_int_not_equal(p.result, 0);
	assert_string_equal(p.err.text, sentence);
	command_line_done(&p.line);
}

static void test_verb_and_options_in_any_order(void **state)
{
	static const char *const lines[] = { "-t 42 dump -R -D /img", "dump -D/img --tree=42 --leave-running",
					     "-R dump --images-dir /img -t42",
					     "--leave-r --images=/img dump --tre 42" };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct parsed p;

		expect_ok(&p, lines[i]);
		assert_int_equal(p.line.operand_count, 1);
		assert_string_equal(p.line.operands[0], "dump");
		assert_int_equal(p.line.opts.pid, 42);
		assert_int_equal(p.line.opts.leave, LEAVE_RUNNING);
		assert_string_equal(p.line.opts.images_dir, "/img");
		command_line_done(&p.line);
	}
}

static void test_last_of_leave_options_wins(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump -R -s");
	assert_int_equal(p.line.opts.leave, LEAVE_STOPPED);
	command_line_done(&p.line);
	expect_ok(&p, "dump -s --leave-running");
	assert_int_equal(p.line.opts.leave, LEAVE_RUNNING);
	command_line_done(&p.line);
}

static void test_verbosity(void **state)
{
	static const struct {
		const char *text;
		int level;
	} rows[] = { { "dump", 2 },
		     { "dump -v", 3 },
		     { "dump -vv", 4 },
		     { "dump -vvvv", 4 },
		     { "dump -v -v", 4 },
		     { "dump -v4", 4 },
		     { "dump -v0", 0 },
		     { "dump --verbosity", 3 },
		     { "dump --verbosity=0", 0 },
		     { "dump -verbosity=0", 0 },
		     { "dump -v0 -v", 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p;

		expect_ok(&p, rows[i].text);
		assert_int_equal(p.line.opts.log_level, rows[i].level);
		command_line_done(&p.line);
	}
	expect_error("dump -vx", "--verbosity: \"x\" is not a level from 0 to 4");
}

static void test_negated_options(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --shell-job --no-shell-job --no-ghost-fiemap --no-file-locks -l");
	assert_false(p.line.opts.shell_job);
	assert_false(p.line.opts.ghost_fiemap);
	assert_true(p.line.opts.file_locks);
	command_line_done(&p.line);
	expect_error("dump --no-leave-running", "option --no-leave-running does not exist");
}

static void test_shared_switch_of_detach_and_daemon(void **state)
{
	struct parsed p;

	expect_ok(&p, "restore -d");
	assert_true(p.line.opts.detach);
	command_line_done(&p.line);
	expect_ok(&p, "restore --restore-detached --no-daemon");
	assert_false(p.line.opts.detach);
	command_line_done(&p.line);
}

static void test_optional_values_must_be_attached(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --manage-cgroups=full --cpu-cap=cpu,ins");
	assert_int_equal(p.line.opts.cgroup_mode, CGROUP_FULL);
	assert_int_equal(p.line.opts.cpu_cap, CPU_CAP_CPU | CPU_CAP_INS | CPU_CAP_IMAGE);
	command_line_done(&p.line);
	expect_ok(&p, "dump --manage-cgroups full");
	assert_int_equal(p.line.operand_count, 2);
	command_line_done(&p.line);
}

static void test_wrong_words(void **state)
{
	expect_error("dump --ext", "option --ext is ambiguous");
	expect_error("dump --bogus=1", "option --bogus=1 does not exist");
	expect_error("dump -q", "option -q does not exist");
	expect_error("dump --tree", "option --tree needs a value");
	expect_error("dump -D", "option -D needs a value");
	expect_error("dump --shell-job=1", "option --shell-job=1 takes no value");
	expect_error("dump -t 0", "--tree: 0 is not between 1 and 2147483647");
	expect_error("dump -t 12x", "--tree: \"12x\" is not a number");
	expect_error("dump -t -5", "--tree: \"-5\" is not a number");
	expect_error("check --ms", "--ms does not exist any more");
	expect_error("page-server --port 0", "--port: 0 is not between 1 and 65535");
	expect_error("dump --network-lock ipvs", "--network-lock: \"ipvs\" is none of iptables, nftables, skip, none");
}

static void test_help_and_version_come_first(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --bogus --help");
	assert_true(p.line.help);
	command_line_done(&p.line);
	expect_ok(&p, "-V");
	assert_true(p.line.version);
	command_line_done(&p.line);
	expect_ok(&p, "restore --exec-cmd -- sh --help");
	assert_false(p.line.help);
	assert_string_equal(p.line.opts.exec_cmd[0], "sh");
	assert_string_equal(p.line.opts.exec_cmd[1], "--help");
	assert_null(p.line.opts.exec_cmd[2]);
	command_line_done(&p.line);
}

static void test_exec_cmd_needs_a_command(void **state)
{
	struct parsed p;

	expect_error("restore --exec-cmd", "--exec-cmd needs a command behind \"--\"");
	expect_ok(&p, "restore -d --exec-cmd -- true");
	assert_int_not_equal(command_line_check(&p.line, VERB_RESTORE, &p.err), 0);
	command_line_done(&p.line);
}

static void expect_refusal(const char *text, int verb, const char *sentence)
{
	struct parsed p;
	int r;

	expect_ok(&p, text);
	r = command_line_check(&p.line, verb, &p.err);
	assert_string_equal(p.err.text, sentence ? sentence : "");
	assert_int_equal(r < 0, sentence != NULL);
	command_line_done(&p.line);
}

static void test_what_is_not_there_is_refused_by_name(void **state)
{
	expect_refusal("dump --tcp-established", VERB_DUMP, "--tcp-established is not supported yet");
	expect_refusal("dump --tcp-established --no-tcp-established", VERB_DUMP, NULL);
	expect_refusal("check --tcp-established", VERB_CHECK, NULL);
	expect_refusal("dump --inherit-fd fd[0]:pipe:[7]", VERB_DUMP, "--inherit-fd is for restore only");
	expect_refusal("restore -S", VERB_RESTORE, "--restore-sibling needs --restore-detached");
	expect_refusal("restore -S -d", VERB_RESTORE, NULL);
}

/* A value that the option takes: anything, but for those that are looked at. */
static const char *value_for(const struct option_row *row)
{
	static const struct {
		const char *name, *value;
	} values[] = {
		{ "veth-pair", "in=out" },  { "empty-ns", "net" },       { "join-ns", "net:/proc/self/ns/net" },
		{ "port", "1027" },         { "ps-socket", "0" },        { "status-fd", "0" },
		{ "ext-mount-map", "a:b" }, { "pre-dump-mode", "read" }, { "lsm-profile", "apparmor:x" },
	};

	if (row->argument != ARGUMENT_REQUIRED)
		return "";
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (!strcmp(values[i].name, row->name))
			return values[i].value;
	return "value";
}

static const struct {
	int verb;
	const char *name;
} checked_verbs[] = { { VERB_DUMP, "dump" }, { VERB_RESTORE, "restore" } };

/* None is taken and then ignored. */
static void test_each_that_is_not_there_is_refused(void **state)
{
	size_t count, seen = 0;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++)
		for (size_t v = 0; v < ARRAY_SIZE(checked_verbs); v++) {
			char line[128], sentence[128];

			if (!(rows[i].verbs & checked_verbs[v].verb) ||
			    !(rows[i].state == OPTION_NOT_THERE_YET || rows[i].verbs_missing & checked_verbs[v].verb))
				continue;
			(void)snprintf(line, sizeof(line), "%s --%s %s", checked_verbs[v].name, rows[i].name,
				       value_for(&rows[i]));
			(void)snprintf(sentence, sizeof(sentence), "--%s is not supported yet%s", rows[i].name,
				       rows[i].verbs_missing ? " by this command" : "");
			expect_refusal(line, checked_verbs[v].verb, sentence);
			seen++;
		}
	assert_in_range(seen, 5, 200);
}

static bool flag_of(const struct parsed *p, const struct option_row *row)
{
	return *(const bool *)((const char *)&p->line.opts + row->offset);
}

/* Each switch changes its own member, and --no-NAME changes it back. */
static void test_each_flag(void **state)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		char line[128];
		struct parsed p;

		if (rows[i].store != STORE_FLAG || rows[i].state == OPTION_REMOVED)
			continue;
		(void)snprintf(line, sizeof(line), "dump --%s", rows[i].name);
		expect_ok(&p, line);
		assert_true(flag_of(&p, &rows[i]));
		assert_true(p.line.given[i]);
		command_line_done(&p.line);
		if (!rows[i].negatable)
			continue;
		(void)snprintf(line, sizeof(line), "dump --%s --no-%s", rows[i].name, rows[i].name);
		expect_ok(&p, line);
		assert_false(flag_of(&p, &rows[i]));
		assert_false(p.line.given[i]);
		command_line_done(&p.line);
	}
}

/* The last one given counts. */
static void test_each_string(void **state)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		char line[128];
		struct parsed p;

		if (rows[i].store != STORE_STRING || rows[i].state == OPTION_REMOVED)
			continue;
		(void)snprintf(line, sizeof(line), "dump --%s first --%s=last", rows[i].name, rows[i].name);
		expect_ok(&p, line);
		assert_string_equal(*(char *const *)((const char *)&p.line.opts + rows[i].offset), "last");
		command_line_done(&p.line);
	}
}

/* A flag that is in force must always be either stored for the engines or refused. */
static void test_some_commands_have_it(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --auto-dedup");
	assert_int_equal(command_line_check(&p.line, VERB_RESTORE, &p.err), 0);
	assert_int_not_equal(command_line_check(&p.line, VERB_DUMP, &p.err), 0);
	assert_string_equal(p.err.text, "--auto-dedup is not supported yet by this command");
	command_line_done(&p.line);
}

static void test_every_row_makes_sense(void **state)
{
	size_t count;
	const struct option_row *rows = option_table(&count);

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].verbs_missing & ~rows[i].verbs, 0);
		assert_true(rows[i].verbs_missing == 0 || rows[i].state == OPTION_IMPLEMENTED);
		assert_true(rows[i].state == OPTION_REMOVED || rows[i].help != NULL);
		assert_true(rows[i].verbs != 0);
		assert_true(!rows[i].negatable || rows[i].store == STORE_FLAG);
		assert_true(rows[i].store != STORE_PARSED || rows[i].parse != NULL);
		assert_true((rows[i].argument == ARGUMENT_NONE) == (rows[i].argument_name == NULL));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(rows[i].name, rows[j].name);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t bytes;
	} rows[] = { { "0", 0, 0 },
		     { "4096", 0, 4096 },
		     { "16K", 0, 16384 },
		     { "3M", 0, 3 << 20 },
		     { "2G", 0, 2ULL << 30 },
		     { "", -EINVAL, 0 },
		     { "K", -EINVAL, 0 },
		     { "1T", -EINVAL, 0 },
		     { "1KB", -EINVAL, 0 },
		     { "-1", -EINVAL, 0 },
		     { "99999999999999999999", -ERANGE, 0 },
		     { "18446744073709551615G", -ERANGE, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = 0;

		assert_int_equal(parse_size(rows[i].text, &bytes), rows[i].result);
		assert_int_equal(bytes, rows[i].bytes);
	}
}

static void test_cpu_caps(void **state)
{
	static const struct {
		const char *text;
		unsigned int caps;
	} rows[] = {
		{ "dump", CPU_CAP_FPU | CPU_CAP_INS },
		{ "dump --cpu-cap", CPU_CAP_ALL | CPU_CAP_IMAGE },
		{ "dump --cpu-cap=all", CPU_CAP_ALL | CPU_CAP_IMAGE },
		{ "dump --cpu-cap=all,^cpu", CPU_CAP_FPU | CPU_CAP_INS | CPU_CAP_IMAGE },
		{ "dump --cpu-cap=^fpu", CPU_CAP_CPU | CPU_CAP_INS | CPU_CAP_IMAGE },
		{ "dump --cpu-cap=none", 0 },
		{ "dump --cpu-cap=cpu --cpu-cap=fpu", CPU_CAP_FPU | CPU_CAP_IMAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parsed p;

		expect_ok(&p, rows[i].text);
		assert_int_equal(p.line.opts.cpu_cap, rows[i].caps);
		command_line_done(&p.line);
	}
	expect_error("dump --cpu-cap=sse", "--cpu-cap: \"sse\" is none of all, cpu, fpu, ins, none");
	expect_error("dump --cpu-cap=fpu,,ins",
		     "--cpu-cap: the list of processor features has an empty or unknown word");
}

static void test_externals(void **state)
{
	struct parsed p;
	const struct external *e;

	expect_ok(&p, "dump --external mnt[/a/b]:key --external file[1f:2a] --external mnt[]:s --external net[7]:x");
	assert_int_equal(p.line.opts.external_count, 4);
	e = options_find_external(&p.line.opts, "mnt", "/a/b");
	assert_non_null(e);
	assert_string_equal(e->value, "key");
	e = options_find_external(&p.line.opts, "file", "1f:2a");
	assert_non_null(e);
	assert_null(e->value);
	assert_string_equal(options_find_external(&p.line.opts, "mnt", "")->value, "s");
	assert_null(options_find_external(&p.line.opts, "net", "8"));
	command_line_done(&p.line);
	expect_error("dump --external mnt[]:q", "--external: \"mnt[]:q\": only m or s may follow \"mnt[]:\"");
	expect_error("dump --external mnt", "--external: \"mnt\" is not of the form TYPE[ID] or TYPE[ID]:VALUE");
	expect_error("dump --external [x]", "--external: \"[x]\" is not of the form TYPE[ID] or TYPE[ID]:VALUE");
	expect_error("dump --external mnt[x", "--external: \"mnt[x\" is not of the form TYPE[ID] or TYPE[ID]:VALUE");
}

static void test_inherit_fd(void **state)
{
	struct parsed p;

	expect_ok(&p, "restore --inherit-fd fd[1]:pipe:[123] --inherit-fd fd[2]:tty[1:2]");
	assert_int_equal(options_find_inherit_fd(&p.line.opts, "pipe:[123]"), 1);
	assert_int_equal(options_find_inherit_fd(&p.line.opts, "tty[1:2]"), 2);
	assert_int_equal(options_find_inherit_fd(&p.line.opts, "pipe:[9]"), -ENOENT);
	command_line_done(&p.line);
	expect_error("restore --inherit-fd 1:x", "--inherit-fd: \"1:x\" is not of the form fd[N]:ID");
	expect_error("restore --inherit-fd fd[]:x", "--inherit-fd: \"fd[]:x\" is not of the form fd[N]:ID");
	expect_error("restore --inherit-fd fd[999]:x",
		     "--inherit-fd: \"fd[999]:x\": descriptor 999: Bad file descriptor");
}

static void expect_map(const struct parsed *p, const char *path, const char *to)
{
	const struct path_map *map = options_find_path_map(&p->line.opts, path);

	if (to)
		assert_non_null(map);
	else
		assert_null(map);
	if (map)
		assert_string_equal(map->to, to);
}

static void test_path_maps(void **state)
{
	struct parsed p;

	expect_ok(&p, "restore --path-map /a=/x --path-map /a/b/=/y// --path-map /c\\=d=/e\\=f --path-map /a=/z");
	expect_map(&p, "/a", "/z");
	expect_map(&p, "/a/bc", "/z");
	expect_map(&p, "/a/b", "/y");
	expect_map(&p, "/a/b/c", "/y");
	expect_map(&p, "/ab", NULL);
	expect_map(&p, "/c=d/e", "/e=f");
	expect_map(&p, "/", NULL);
	expect_map(&p, "a", NULL);
	command_line_done(&p.line);
	expect_ok(&p, "restore --path-map /=/x --path-map /proc=/proc");
	expect_map(&p, "/", "/x");
	expect_map(&p, "/a", "/x");
	expect_map(&p, "/proc/1", "/proc");
	expect_map(&p, "file[1:2]", NULL);
	command_line_done(&p.line);
	expect_error("restore --path-map /a", "--path-map: \"/a\" is not of the form OLD=NEW");
	expect_error("restore --path-map /a=/b=/c", "--path-map: \"/a=/b=/c\" is not of the form OLD=NEW");
	expect_error("restore --path-map a=/b", "--path-map: \"a=/b\": \"a\" is not an absolute path");
	expect_error("restore --path-map /a=", "--path-map: \"/a=\": \"\" is not an absolute path");
	expect_error("restore --path-map /a/../b=/c",
		     "--path-map: \"/a/../b=/c\": no path of an image has an empty part, \".\" or \"..\"");
	expect_error("restore --path-map //a=/c",
		     "--path-map: \"//a=/c\": no path of an image has an empty part, \".\" or \"..\"");
	parse_text(&p, "dump --path-map /a=/b");
	assert_int_not_equal(command_line_check(&p.line, VERB_DUMP, &p.err), 0);
	assert_string_equal(p.err.text, "--path-map is for restore only");
	command_line_done(&p.line);
}

static void test_file_policies(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --file-policy /var/log/*=append --file-policy *.db=exact --file-policy /tmp/a=b=any");
	assert_int_equal(options_find_file_policy(&p.line.opts, "/var/log/deep/x"), FILE_POLICY_APPEND);
	assert_int_equal(options_find_file_policy(&p.line.opts, "/var/log/x.db"), FILE_POLICY_EXACT);
	assert_int_equal(options_find_file_policy(&p.line.opts, "/tmp/a=b"), FILE_POLICY_ANY);
	assert_int_equal(options_find_file_policy(&p.line.opts, "/tmp/a=b/c"), FILE_POLICY_NONE);
	assert_int_equal(options_find_file_policy(&p.line.opts, "/var/log"), FILE_POLICY_NONE);
	command_line_done(&p.line);
	expect_error("restore --file-policy /a",
		     "--file-policy: \"/a\" is not of the form PATTERN=exact, =append or =any");
	expect_error("restore --file-policy =any",
		     "--file-policy: \"=any\" is not of the form PATTERN=exact, =append or =any");
	expect_error("restore --file-policy a=any", "--file-policy: \"a=any\": the pattern matches no absolute path");
	expect_error("restore --file-policy /a=some",
		     "--file-policy: \"/a=some\": \"some\" is none of exact, append, any");
}

static void test_lists_and_old_forms(void **state)
{
	struct parsed p;

	expect_ok(&p, "dump --action-script a --action-script b -x12,34 --ext-mount-map /m:k --empty-ns net");
	assert_int_equal(p.line.opts.action_scripts.count, 2);
	assert_string_equal(p.line.opts.action_scripts.items[1], "b");
	assert_true(p.line.opts.ext_unix_sk);
	assert_int_equal(p.line.opts.ext_unix_inodes.count, 2);
	assert_string_equal(options_find_external(&p.line.opts, "mnt", "/m")->value, "k");
	assert_int_equal(p.line.opts.empty_ns, CLONE_NEWNET);
	command_line_done(&p.line);
	expect_ok(&p, "restore --veth-pair eth0=v0 --timeout 0 --ghost-limit 2K --file-validation filesize");
	assert_string_equal(options_find_external(&p.line.opts, "veth", "eth0")->value, "v0");
	assert_int_equal(p.line.opts.timeout_sec, 0);
	assert_int_equal(p.line.opts.ghost_limit_bytes, 2048);
	assert_int_equal(p.line.opts.file_validation, FILE_VALIDATION_SIZE);
	command_line_done(&p.line);
}

static void test_config_lines(void **state)
{
	static const struct {
		const char *text;
		int result;
		const char *name, *value;
	} rows[] = {
		{ "", 0, NULL, NULL },
		{ "  # only a comment", 0, NULL, NULL },
		{ "shell-job", 1, "shell-job", NULL },
		{ "\tlog-file\t dump.log  # why", 1, "log-file", "dump.log" },
		{ "external \"mnt[/a b]:c\"", 1, "external", "mnt[/a b]:c" },
		{ "cgroup-props \"say \\\"x\\\"\"", 1, "cgroup-props", "say \"x\"" },
		{ "work-dir \"\"", 1, "work-dir", "" },
		{ "log-file a#b", 1, "log-file", "a" },
		{ "manage-cgroups=full", 1, "manage-cgroups=full", NULL },
		{ "log-file \"a#b\"", -EINVAL, NULL, NULL },
		{ "log-file \"", -EINVAL, NULL, NULL },
		{ "log-file \"abc", -EINVAL, NULL, NULL },
		{ "log-file a b", -EINVAL, NULL, NULL },
		{ "log-file \"a\" b", -EINVAL, NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_line words;
		const char *reason;
		char text[128];

		strcpy(text, rows[i].text);
		assert_int_equal(config_split_line(text, &words, &reason), rows[i].result);
		if (rows[i].result != 1)
			continue;
		assert_string_equal(words.name, rows[i].name);
		assert_int_equal(words.has_value, rows[i].value != NULL);
		if (rows[i].value)
			assert_string_equal(words.value, rows[i].value);
	}
}

struct config_files {
	char home[64];
	char dot_dir[96];
	char user[128];
	char extra[96];
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_config_files(void **state)
{
	static struct config_files files;

	strcpy(files.home, "/tmp/test-options-XXXXXX");
	if (!mkdtemp(files.home))
		return -1;
	(void)snprintf(files.dot_dir, sizeof(files.dot_dir), "%s/.criu", files.home);
	(void)snprintf(files.user, sizeof(files.user), "%s/default.conf", files.dot_dir);
	(void)snprintf(files.extra, sizeof(files.extra), "%s/extra.conf", files.home);
	*state = &files;
	return setenv("HOME", files.home, 1) | unsetenv("CRIU_CONFIG_FILE") | mkdir(files.dot_dir, 0700);
}

static int remove_config_files(void **state)
{
	struct config_files *files = *state;

	(void)unlink(files->user);
	(void)unlink(files->extra);
	return rmdir(files->dot_dir) | rmdir(files->home) | unsetenv("CRIU_CONFIG_FILE");
}

static void test_order_of_sources(void **state)
{
	struct config_files *files = *state;
	struct parsed p;
	char text[256];

	write_file(files->user, "log-file user.log\nshell-job\naction-script u\n");
	write_file(files->extra, "log-file extra.log\nno-shell-job\naction-script e\nmanage-cgroups=strict\n");
	expect_ok(&p, "dump");
	assert_string_equal(p.line.opts.log_file, "user.log");
	assert_true(p.line.opts.shell_job);
	command_line_done(&p.line);

	(void)setenv("CRIU_CONFIG_FILE", files->extra, 1);
	expect_ok(&p, "dump");
	assert_string_equal(p.line.opts.log_file, "extra.log");
	assert_false(p.line.opts.shell_job);
	assert_int_equal(p.line.opts.action_scripts.count, 2);
	command_line_done(&p.line);

	expect_ok(&p, "dump --no-default-config -o cli.log --action-script c -j");
	assert_string_equal(p.line.opts.log_file, "cli.log");
	assert_int_equal(p.line.opts.action_scripts.count, 2);
	assert_true(p.line.opts.shell_job);
	assert_int_equal(p.line.opts.cgroup_mode, CGROUP_STRICT);
	command_line_done(&p.line);

	(void)unsetenv("CRIU_CONFIG_FILE");
	(void)snprintf(text, sizeof(text), "dump --config %s", files->extra);
	expect_ok(&p, text);
	assert_string_equal(p.line.opts.log_file, "extra.log");
	assert_int_equal(p.line.opts.action_scripts.count, 1);
	command_line_done(&p.line);
	expect_ok(&p, "dump --config=/nonexistent/file");
	assert_null(p.line.opts.log_file);
	command_line_done(&p.line);
}

static void expect_config_error(const struct config_files *files, const char *content, const char *sentence)
{
	char expected[512];

	write_file(files->user, content);
	(void)snprintf(expected, sizeof(expected), "%s, %s", files->user, sentence);
	expect_error("dump", expected);
}

static void test_wrong_config_files(void **state)
{
	struct config_files *files = *state;

	expect_config_error(files, "shell-job\nlog-file \"x\n", "line 2: the closing quote is missing");
	expect_config_error(files, "log-file a b\n", "line 1: there is more than one value");
	expect_config_error(files, "manage-cgroups full\n", "line 1: the value must be attached: manage-cgroups=full");
	expect_config_error(files, "--shell-job\n", "line 1: --shell-job: options stand here without dashes");
	expect_config_error(files, "bogus\n", "line 1: option --bogus does not exist");
	expect_config_error(files, "config x\n", "line 1: config makes no sense in a configuration file");
}

static void test_progress_text(void **state)
{
	char text[160];

	format_progress(text, sizeof(text), "dump", "write pages", 1 << 30, 3ULL << 30, 1000000);
	assert_string_equal(text, "dump: write pages, 1.0 GiB of 3.0 GiB, 1.0 GiB/s, 2 s left");
	format_progress(text, sizeof(text), "dump", "write pages", 1 << 20, 0, 1000000);
	assert_string_equal(text, "dump: write pages, 1.0 MiB, 1.0 MiB/s");
	format_progress(text, sizeof(text), "restore", "fork", 0, 0, 0);
	assert_string_equal(text, "restore: fork");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verb_and_options_in_any_order),
		cmocka_unit_test(test_last_of_leave_options_wins),
		cmocka_unit_test(test_verbosity),
		cmocka_unit_test(test_negated_options),
		cmocka_unit_test(test_shared_switch_of_detach_and_daemon),
		cmocka_unit_test(test_optional_values_must_be_attached),
		cmocka_unit_test(test_wrong_words),
		cmocka_unit_test(test_help_and_version_come_first),
		cmocka_unit_test(test_exec_cmd_needs_a_command),
		cmocka_unit_test(test_what_is_not_there_is_refused_by_name),
		cmocka_unit_test(test_each_that_is_not_there_is_refused),
		cmocka_unit_test(test_each_flag),
		cmocka_unit_test(test_each_string),
		cmocka_unit_test(test_some_commands_have_it),
		cmocka_unit_test(test_every_row_makes_sense),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_cpu_caps),
		cmocka_unit_test(test_externals),
		cmocka_unit_test(test_inherit_fd),
		cmocka_unit_test(test_path_maps),
		cmocka_unit_test(test_file_policies),
		cmocka_unit_test(test_lists_and_old_forms),
		cmocka_unit_test(test_config_lines),
		cmocka_unit_test(test_order_of_sources),
		cmocka_unit_test(test_wrong_config_files),
		cmocka_unit_test(test_progress_text),
	};

	return cmocka_run_group_tests(tests, make_config_files, remove_config_files);
}
