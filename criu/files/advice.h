/* What posix_fadvise(2) has told of regular files. Only for criu/files/. */
#pragma once

#include "base/error.h"
#include "images/regfile.pb-c.h"

struct dump;
struct open_file;

/* Look stage: fills in file->advice. */
void advice_look(struct dump *d, struct open_file *file);

/* To a description that was just opened. */
int advice_restore(const RegFileEntry *entry, int fd, struct error *err);
