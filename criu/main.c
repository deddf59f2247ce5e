/* The command table, nothing else. */
#include "base/util.h"
#include "cmd/command.h"
#include "cmd/options.h"

static const struct command commands[] = {
	{ "dump", .verb = VERB_DUMP, .run = command_dump, .needs_images = true, .failed_marker = "Dumping FAILED.",
	  .summary = "save the process tree below -t PID" },
	{ "restore", .verb = VERB_RESTORE, .run = command_restore, .needs_images = true,
	  .failed_marker = "Restoring FAILED.", .summary = "bring a saved process tree back" },
	{ "check", .verb = VERB_CHECK, .run = command_check, .summary = "tell what this kernel can do" },
	{ "cpuinfo", .operands = "dump|check", .verb = VERB_CPUINFO, .run = command_cpuinfo, .needs_images = true,
	  .summary = "save the processor's features, compare them with saved ones" },
	{ "pre-dump", .verb = VERB_PRE_DUMP, .refused_status = 1, .summary = "save memory, let the tasks run on" },
	{ "lazy-pages", .verb = VERB_LAZY_PAGES, .refused_status = 1,
	  .summary = "serve memory of lazily restored tasks" },
	{ "page-server", .verb = VERB_PAGE_SERVER, .refused_status = 1, .summary = "receive pages over the network" },
	{ "service", .verb = VERB_SERVICE, .refused_status = 1, .summary = "RPC service on a unix socket" },
	{ "swrk", .verb = VERB_SWRK, .refused_status = 1, .operands = "FD", .summary = "RPC on an inherited socket" },
	{ "dedup", .verb = VERB_DEDUP, .refused_status = 1, .summary = "free pages that a newer set replaces" },
	{ "exec", .refused_status = 255, .refused_because = "this command does not exist any more" },
	{ "show", .refused_status = 255, .refused_because = "this command does not exist any more, crit shows images" },
};

int main(int argc, char **argv)
{
	return command_main(commands, ARRAY_SIZE(commands), argc, argv);
}
