/*
 * With whose rights a file was opened. The kernel keeps them with the file and asks for them, and not for those of who
 * reads or writes it, in some files of its own (who may move processes by cgroup.procs, write to uid_map, see page
 * frames in pagemap and addresses in kallsyms); servers of network filesystems and FUSE are told them. Only for
 * criu/files/.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "images/regfile.pb-c.h"

struct dump;
struct open_file;
struct openers;
struct restore;
struct restore_file;

/* Look stage, of a regular file where it matters, and of any file: refuses what no restore could open so again. */
int opener_look(struct dump *d, struct open_file *file, struct error *err);
int opener_look_any(struct dump *d, struct open_file *file, struct error *err);
/* The same of a file without a name that can be given one: warns where the program could do that, and cannot after. */
void opener_look_nameless(struct dump *d, const struct open_file *file);
void opener_free(struct open_file *file);
/* Of a file that has one; NULL when there is no memory. */
FileOpener *opener_save(struct dump *d, const struct open_file *file);
void openers_free(struct openers *openers);

/* Before anything is created: refuses what cannot be given. */
int opener_check(struct restore *r, const struct restore_file *file, const FileOpener *opener, struct error *err);
/* make() with these rights, if there are any: a descriptor or -errno. *err is set when a sentence says more. */
int opener_call(struct restore *r, const FileOpener *opener, int (*make)(void *), void *arg, struct error *err);
/* As open(2), with these rights if the entry has any: descriptor or -errno. *err is set when a sentence says more. */
int opener_open(struct restore *r, const RegFileEntry *entry, const char *path, uint32_t flags, struct error *err);
