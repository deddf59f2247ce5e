/*
 * Shared memory objects of a restore: memfds, and what anonymous shared mappings are made of. The worker creates and
 * fills each object once, before the root is forked; all processes inherit its descriptor (in the range of
 * engine/service-fds.h) and open it again with the mode they need.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct restore;

/* In the worker: creates all objects of r->images, with size, owner, mode and content. */
int shmem_restore_prepare(struct restore *r, struct error *err);

/* In any process of the restore: opens the object behind a memfd inode with these open flags. The caller closes it. */
int shmem_open_fd(struct restore *r, uint64_t inode_id, int flags, int *ret_fd, struct error *err);

/*
 * The description that came into being with the memfd, for reading and writing: a descriptor of it with close-on-exec.
 * Only one file can be it; whoever only maps it is not seen.
 */
int shmem_share_fd(struct restore *r, uint64_t inode_id, int *ret_fd, struct error *err);

/* The same as shmem_open_fd() for an object known by its shmid. */
int shmem_open_shmid(struct restore *r, uint64_t shmid, int flags, int *ret_fd, struct error *err);

/* In the worker, when everything is mapped: adds the seals. */
int shmem_restore_seal(struct restore *r, struct error *err);

/* Whether the object's seals forbid writing, so that it may only be mapped read-only. */
int shmem_is_write_sealed(const struct restore *r, uint64_t inode_id);

/* Closes the worker's descriptors. */
void shmem_restore_done(struct restore *r);
