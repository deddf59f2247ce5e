/*
 * Memory that several processes can share: memfds and shared anonymous mappings, which are inodes of the kernel's own
 * tmpfs mount, or of its hugetlbfs mounts. An object is known by device and inode number and saved once, however it is
 * reached.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "images/fdinfo.pb-c.h"

struct dump;
struct image_writer;
struct open_file;
struct proc_vma;
struct task;

/* True for a mapping of such an inode, told by its device; also for a private one of huge pages, which has an inode. */
bool is_shared_memory_vma(const struct proc_vma *vma);

/* Look stage. An open memfd; *ret_inode_id is what its file entry refers to. file->local_fd is only used during the
 * call. */
int shared_memory_add_file(struct dump *d, const struct open_file *file, uint32_t *ret_inode_id, struct error *err);

/* Look stage. A mapping of an object; *ret_file_id is the memfd file entry that the mapping's shmid must name. */
int shared_memory_add_mapping(struct dump *d, struct task *task, const struct proc_vma *vma, const char *path,
			      uint32_t *ret_file_id, struct error *err);

/* Save stage: memfd.img and the contents. */
int shared_memory_save(struct dump *d, struct error *err);

/* Save stage: the file entries of mappings, into files.img. */
int shared_memory_save_files(struct dump *d, struct image_writer *files, struct error *err);

void shared_memory_free(struct dump *d);
