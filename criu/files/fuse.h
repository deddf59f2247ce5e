/* FUSE filesystems whose server is of the tree. */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct dump;

/* Before anything is stopped: whether a process sees such a filesystem. */
bool fuse_is_mounted(int procfd);

/* Look stage, before any file is touched: refuses a tree whose files nobody could answer for. */
int fuse_look(const struct dump *d, struct error *err);
