/*
 * What another reader of the images must not leave out. Fields of our own are skipped by other programs, which is right
 * where a program can do without: what is left out of its CPU affinity or NUMA policy it will not miss. With the states
 * listed here it would go on and do something else than it was made for. The inventory then names the state where names
 * of plugins stand: readers refuse a set with a plugin that they do not have.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct dump;

#define OTHER_READERS_NEEDS_MAX 10

/* Save stage: the names, constant strings; returns how many. */
size_t other_readers_needs(const struct dump *d, const char *ret_names[OTHER_READERS_NEEDS_MAX]);

/* True for such a name. */
bool other_readers_is_need(const char *name);
