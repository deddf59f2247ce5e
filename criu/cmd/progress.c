/* Writes the progress line on stderr. */
#include "cmd/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

static const uint64_t quiet_us = 2000000;
static const uint64_t interval_us = 200000;

/* "1.5 GiB" */
static void format_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(out, size, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void format_progress(char *out, size_t size, const char *verb, const char *phase, uint64_t done_bytes,
		     uint64_t total_bytes, uint64_t elapsed_us)
{
	double rate = elapsed_us ? (double)done_bytes * 1e6 / (double)elapsed_us : 0;
	char done[32];
	char total[32];
	char per_second[32];

	format_bytes(done, sizeof(done), done_bytes);
	format_bytes(total, sizeof(total), total_bytes);
	format_bytes(per_second, sizeof(per_second), (uint64_t)rate);
	if (done_bytes == 0)
		(void)snprintf(out, size, "%s: %s", verb, phase);
	else if (total_bytes < done_bytes || rate < 1)
		(void)snprintf(out, size, "%s: %s, %s, %s/s", verb, phase, done, per_second);
	else
		(void)snprintf(out, size, "%s: %s, %s of %s, %s/s, %.0f s left", verb, phase, done, total, per_second,
			       (double)(total_bytes - done_bytes) / rate);
}

/* One thread at a time gets through, and not more often than the eye can follow. */
static bool is_due(struct progress_line *line, uint64_t now)
{
	uint64_t next = atomic_load(&line->next_us);

	return now >= next && atomic_compare_exchange_strong(&line->next_us, &next, now + interval_us);
}

static void show_progress(void *ctx, const char *phase, uint64_t done_bytes, uint64_t total_bytes)
{
	struct progress_line *line = ctx;
	uint64_t now = now_us();
	char text[160];
	char framed[192];
	int bytes;

	if (!is_due(line, now))
		return;
	if (!line->phase || strcmp(line->phase, phase) != 0) {
		line->phase = phase;
		line->phase_start_us = now;
	}
	if (now - line->start_us < quiet_us)
		return;
	format_progress(text, sizeof(text), line->verb, phase, done_bytes, total_bytes, now - line->phase_start_us);
	bytes = snprintf(framed, sizeof(framed), "\r%s\033[K", text);
	(void)!write(STDERR_FILENO, framed, (size_t)bytes);
}

const struct progress *progress_line_start(struct progress_line *line, const char *verb)
{
	uint64_t now = now_us();

	*line = (struct progress_line){
		.progress = { show_progress, line },
		.verb = verb,
		.start_us = now,
	};
	line->on_terminal = isatty(STDERR_FILENO) && !(log_get_fd() == STDERR_FILENO && log_get_level() >= LOG_INFO);
	return line->on_terminal ? &line->progress : NULL;
}

void progress_line_end(struct progress_line *line)
{
	static const char wipe[] = "\r\033[K";

	/* A child of this process may have written it, so this one cannot know whether there is anything to wipe. */
	if (line->on_terminal && now_us() - line->start_us >= quiet_us)
		(void)!write(STDERR_FILENO, wipe, sizeof(wipe) - 1);
	line->on_terminal = false;
}
