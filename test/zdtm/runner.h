/* What the runner decides (which test, which mode) and hands to the part that works inside a test's own namespaces. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum mode {
	MODE_NONE,          /* no checkpoint at all: does the program pass undisturbed? */
	MODE_PLAIN,         /* dump kills, restore, check */
	MODE_ITERATIONS,    /* the same five times in a row */
	MODE_LEAVE_RUNNING, /* dump -R three times: the program never notices */
	MODE_STOPPED,       /* dump -s, SIGCONT, check */
	MODE_COMPARE,       /* /proc before the dump and after the restore: nothing else may differ */
	MODE_RECORD,        /* the same without a checkpoint: what differs by itself */
	MODE_MASK,          /* plain, with one optional kernel feature hidden */
};

/* One line of tests.list. */
struct test {
	char name[64];
	char program[64];       /* its file, mostly called like the test */
	char args[128];         /* for the program itself */
	char dump_options[256]; /* besides the usual ones */
	char restore_options[256];
	char differs[128]; /* fields of /proc that may differ in this test, besides those that may in all */
	char again[256];   /* fields of images that may differ in a second set */
	char refused[128]; /* what the dump says when it refuses this one; the program then has to go on unharmed */
	char warns[128];   /* a part of the one warning that the dump gives in a plain run, and the restore may */
	char needs[64];    /* a kernel feature it cannot do without: never masked */
	char skip[128];    /* why it cannot run here or does not run by itself */
	unsigned int timeout_s;
	int huge_pages;        /* that are to be free while it runs */
	bool is_long, is_busy; /* busy: never sleeps, so /proc is not compared */
	bool is_unordered;     /* a second set may have the processes in another order */
	bool is_daemon;        /* in a session whose leader has ended */
	bool is_logged_in;     /* in a session keyring of its own, and criu with it */
	bool is_linked;        /* likewise, with a name and a link to the session keyring of the user */
	bool is_elsewhere;     /* restored by a criu with another session keyring, who alone warns */
	bool has_own_net;      /* a network namespace, and what /sys shows of it */
	bool skip_counted;     /* what no mode runs is counted once */
};

/* Once more, with longer naps. */
#define VERDICT_AGAIN "AGAIN"
#define LONGEST_NAP_S 60

struct run {
	const struct test *test;
	enum mode mode;
	int nap_s;        /* how long a program may think that a checkpoint takes */
	char feature[64]; /* MODE_MASK */
	const char *criu, *programs, *may_differ;
	const char
	    *on_set; /* run on each image directory that is to be restored in MODE_PLAIN or MODE_COMPARE, or NULL */
	const char *on_next_set; /* the same in MODE_ITERATIONS, on the second one with the first */
	char dir[256];           /* this run's own directory */
};

/*
 * The first process of the test's namespaces. Writes "PASS", "SKIP why", "FAIL why" or "AGAIN" to DIR/verdict and ends;
 * with it ends everything in its pid namespace.
 */
void run_inside(const struct run *run) __attribute__((noreturn));
