/* Data of files that could not be written back, and of which a descriptor has yet to be told. Only for criu/files/. */
#pragma once

#include "base/error.h"

struct dump;
struct open_file;

/* At the end of the look stage: refuses such a file. */
int write_error_look(struct dump *d, struct open_file *file, struct error *err);
