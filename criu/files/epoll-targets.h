/*
 * Which open file of the tree is a target of an epoll. In large tables the kernel's records of the files tell by which
 * epolls they are watched, and under which number; kcmp(2), which goes through all targets of the epoll for each
 * comparison, is left for what they do not tell. Only for criu/files/.
 */
#pragma once

#include "files/file-kind.h"

/*
 * NULL: none of the tree. Where several targets have the number, nth counts them in the order in which fdinfo has them,
 * from 0.
 */
struct open_file *epoll_target_find(struct dump *d, const struct open_file *epoll, const struct epoll_target *target,
				    unsigned int nth, bool is_repeated);
