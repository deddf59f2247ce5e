/* Where the inodes are that somebody watches, of which fdinfo tells no path. Only for criu/files/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernel/proc-misc.h"

struct dump;
struct open_file;

#define INODE_HANDLE_WORDS 16
#define INODE_HANDLE_BYTES (INODE_HANDLE_WORDS * sizeof(uint64_t))

struct inode_path {
	uint64_t inode;
	uint32_t sdev; /* the kernel's own number of the device */
	struct {
		uint32_t bytes, type; /* 0 bytes: there is none */
		uint8_t data[INODE_HANDLE_BYTES];
	} handle;
	bool exists; /* the handle leads to it */
	char *path;  /* allocated; NULL while none is known */
};

/* Without a search: 0, -ENOENT. */
int inode_path_find(const struct dump *d, const struct proc_mounts *mounts, struct inode_path *object);

/*
 * The same for one that an instance watches, by what the kernel has in memory (BPF): where a filesystem opens nothing
 * by handles.
 */
int inode_path_ask_kernel(struct dump *d, const struct open_file *file, const struct proc_mounts *mounts,
			  struct inode_path *object);

/* Goes once through the directories of --irmap-scan-path for all that have no path; sorts the array. */
void inode_path_search(const struct dump *d, struct inode_path **objects, size_t count);

dev_t inode_path_device(uint32_t sdev);
bool inode_path_is_on(const struct proc_mount *mount, uint32_t sdev);

/* Opens a handle by any mount of its filesystem: O_PATH descriptor or -errno. */
int inode_path_open_handle(const char *mountpoint, uint32_t bytes, uint32_t type, const void *data);
