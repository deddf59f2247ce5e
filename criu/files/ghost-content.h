/* What an inode without a name is made of, in ghost-file-ID.img. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/image-read.h"
#include "images/ghost-file.pb-c.h"

struct dump;
struct open_file;

/* Writes the image; the failure is stated. */
int ghost_content_save(struct dump *d, struct open_file *file, uint32_t id, struct error *err);

/*
 * Puts contents and attributes into an inode that was made new, of which there is a descriptor for O_PATH. The reader
 * stands behind the entry. A failure is stated where its object is known here.
 */
int ghost_content_restore(struct image_reader *reader, int inode_fd, const GhostFileEntry *entry, struct error *err);
