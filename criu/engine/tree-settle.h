/* The end of a dump for the tree. */
#pragma once

#include "base/error.h"
#include "engine/dump.h"

/* Gives every task back as it was: cured if need be, detached. The first failure is reported, all are tried. */
int tree_release(struct dump *d, struct error *err);

/* Kills every task: none of them runs on. Their end takes a while, in which there is other work to do. */
void tree_kill(struct dump *d);

/* Waits for the end of what tree_kill() has killed; of nothing otherwise. */
void tree_wait_killed(struct dump *d);

/* Leaves them stopped, as by SIGSTOP. */
int tree_stop(struct dump *d, struct error *err);
