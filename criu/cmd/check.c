/*
 * criu check: what this kernel can do. Without options it asks for what hardly anything works without; --extra and
 * --experimental ask for more, --all for everything and lists it. The answers are those callers decide by, so each
 * comes from a probe.
 *
 * criu check --pid N asks about a running tree instead: what of it could not be saved. All objects are listed, each
 * with its reason.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "engine/explain.h"
#include "kernel/features.h"

struct verdict {
	unsigned int needed_missing;
	unsigned int others_missing;
};

/* Who asks for these by name goes on to use what they are for: the answer is no while that is not there. */
static const struct {
	const char *feature, *option;
} asked_for[] = {
	{ "mem_dirty_track", "track-mem" },
	{ "uffd", "lazy-pages" },
	{ "uffd-noncoop", "lazy-pages" },
	{ "tcp_half_closed", "tcp-established" },
};

static int check_use(const char *name, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_for); i++) {
		if (strcmp(asked_for[i].feature, name) == 0 && !option_is_there(asked_for[i].option))
			return error_say(err, -EOPNOTSUPP, "the kernel has %s, but --%s is not supported yet", name,
					 asked_for[i].option);
	}
	return 0;
}

static int check_one_feature(const char *name, struct error *err)
{
	const struct feature *feature = feature_find(name);
	int r;

	if (!feature) {
		error_say(err, -ENOENT, "no feature is called \"%s\"", name);
		error_hint(err, "criu --help lists the names");
		return -ENOENT;
	}
	r = feature_available(name);
	if (r < 0)
		return error_set(err, r, "cannot find out about %s (%s)", name, feature->description);
	if (r == 0)
		return error_say(err, -ENOENT, "%s is missing: %s", name, feature->description);
	r = check_use(name, err);
	if (r < 0)
		return r;
	(void)printf("%s is supported\n", name);
	return EXIT_SUCCESS;
}

static bool is_asked_for(const struct options *opts, enum feature_category category)
{
	if (category == FEATURE_EXTRA)
		return opts->check_extra || opts->check_all;
	if (category == FEATURE_EXPERIMENTAL)
		return opts->check_experimental || opts->check_all;
	return true;
}

static const char *answer_text(int answer)
{
	if (answer > 0)
		return "yes";
	return answer == 0 ? "missing" : "unknown";
}

static void list_feature(const struct options *opts, const struct feature *f, int answer)
{
	static const char format[] = "%-26s %-8s %s (needed for: %s)\n";

	if (opts->check_all)
		(void)printf(format, f->name, answer_text(answer), f->description, f->needed_for);
	else
		log_info(format, f->name, answer_text(answer), f->description, f->needed_for);
}

static void judge_feature(const struct options *opts, const struct feature *f, struct verdict *verdict)
{
	int answer = feature_available(f->name);

	list_feature(opts, f, answer);
	if (answer > 0)
		return;
	if (!opts->check_all)
		log_warn("%s: %s: %s; needed for: %s\n", f->name, answer_text(answer), f->description, f->needed_for);
	if (f->category == FEATURE_NEEDED)
		verdict->needed_missing++;
	else
		verdict->others_missing++;
}

static int report_verdict(const struct verdict *verdict, struct error *err)
{
	if (verdict->needed_missing) {
		log_warn("Does not look good.\n");
		return error_say(err, -EOPNOTSUPP, "%u of the features that everything needs are missing",
				 verdict->needed_missing);
	}
	if (verdict->others_missing) {
		(void)printf("Looks good but some kernel features are missing\n"
			     "which, depending on the processes, a dump or a restore may need.\n"
			     "criu check --all lists them with what each is needed for.\n");
		return EXIT_FAILURE;
	}
	(void)printf("Looks good.\n");
	return EXIT_SUCCESS;
}

static int check_all_features(const struct options *opts, struct error *err)
{
	struct verdict verdict = { 0 };
	size_t count;
	const struct feature *features = feature_table(&count);

	for (size_t i = 0; i < count; i++) {
		if (is_asked_for(opts, features[i].category))
			judge_feature(opts, &features[i], &verdict);
	}
	return report_verdict(&verdict, err);
}

static const char *ending(size_t count, const char *plural)
{
	return count == 1 ? "" : plural;
}

static int check_tree(const struct options *opts, struct error *err)
{
	struct explanation explanation = EXPLANATION_INIT;
	const struct refusals *refusals = &explanation.refusals;
	int r = explain_tree(opts, &explanation, err);

	for (size_t i = 0; i < refusals->count; i++) {
		(void)printf("%s\n", refusals->list[i].text);
		if (refusals->list[i].hint[0])
			(void)printf("    hint: %s\n", refusals->list[i].hint);
	}
	if (r == 0 && refusals->count)
		r = error_say(err, -ENOTSUP, "%zu object%s could not be saved", refusals->count,
			      ending(refusals->count, "s"));
	if (r == 0)
		(void)printf("nothing stands in the way of a dump of pid %d (%s): %zu process%s\n", opts->pid,
			     explanation.comm, explanation.task_count, ending(explanation.task_count, "es"));
	explanation_done(&explanation);
	return r;
}

int command_check(struct command_line *line, struct error *err)
{
	if (line->opts.pid > 0)
		return check_tree(&line->opts, err);
	if (line->opts.check_feature)
		return check_one_feature(line->opts.check_feature, err);
	return check_all_features(&line->opts, err);
}
