/* What an inode without a name is made of, in ghost-file-ID.img. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "image/image-read.h"
#include "images/ghost-file.pb-c.h"
#include "kernel/inode-attributes.h"

struct dump;
struct open_file;

/* Its flags of chattr(1): 0 or -errno. */
int ghost_content_look(struct dump *d, struct open_file *file, struct inode_attributes *ret);

/* What only the look stage can find out. */
struct ghost_facts {
	struct inode_attributes attributes;
	bool is_linkable_known, is_linkable;
};

/* Whether it can be given a name. A warning where that cannot be told. */
void ghost_content_look_linkable(struct dump *d, struct open_file *file, struct ghost_facts *facts);

/* Writes the image; the failure is stated. */
int ghost_content_save(struct dump *d, struct open_file *file, uint32_t id, const struct ghost_facts *facts,
		       struct error *err);

/*
 * Puts contents and attributes into an inode that was made new, of which there is a descriptor for O_PATH. The reader
 * stands behind the entry. Flags that would forbid what has yet to be done are not set. A failure is stated where its
 * object is known here.
 */
int ghost_content_restore(struct image_reader *reader, int inode_fd, const GhostFileEntry *entry, struct error *err);

/*
 * Whether there is room for its contents in the filesystem of the directory. An image may be a small file with large
 * holes: nothing is written before that is known. The reader stands behind the entry.
 */
int ghost_content_check_room(const struct image_reader *reader, int dirfd, const GhostFileEntry *entry,
			     struct error *err);
