/*
 * General registers and TLS descriptors of a thread: between the kernel's NT_PRSTATUS layout and the image. Values from
 * an image are a stranger's: regs_check() lets through only what a 64-bit user task can have.
 */
#pragma once

#include <asm/ldt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/error.h"
#include "images/core-x86.pb-c.h"

#define TLS_SLOT_COUNT 3
#define TLS_SLOT_FIRST 12 /* GDT entry of slot 0 in a 64-bit kernel */

/* True for a thread in a 64-bit code segment; a 32-bit one runs in __USER32_CS. */
int regs_is_native(const struct user_regs_struct *regs);

/* Makes the message; 32-bit threads are refused by name. Members are copied: see arch/x86/syscall-restart.h for
 * restarts. */
int regs_to_image(const struct user_regs_struct *regs, UserX86RegsEntry **ret, struct error *err);

/* Checks and converts. Refused: COMPAT mode, foreign segment selectors, privileged flags, addresses out of user space.
 */
int regs_from_image(const UserX86RegsEntry *entry, struct user_regs_struct *ret, struct error *err);

/* Whether an address can be one of user space. */
bool is_user_address(uint64_t address);

/* The check alone: 0 or -EINVAL with the sentence set. */
int regs_check(const struct user_regs_struct *regs, struct error *err);

/* The three TLS slots of a stopped tracee; empty ones have read_exec_only and seg_not_present set and nothing else. */
int tls_read(pid_t tid, struct user_desc ret[TLS_SLOT_COUNT]);

/* What it reads of a thread that has none. */
void tls_clear(struct user_desc ret[TLS_SLOT_COUNT]);

/* An array of three messages, allocated in the way protobuf-c frees. */
int tls_to_image(const struct user_desc slots[TLS_SLOT_COUNT], UserDescT ***ret, size_t *ret_count);

/* No entries at all means empty slots. */
int tls_from_image(UserDescT *const *entries, size_t count, struct user_desc ret[TLS_SLOT_COUNT], struct error *err);

/*
 * One slot of a stopped tracee. 64-bit code has no system call of its own for it: set_thread_area(2) is one of 32-bit
 * calls. -EIO: a kernel without these.
 */
int tls_write(pid_t tid, const struct user_desc *slot);

/* Whether a stopped tracee may use some I/O ports (ioperm(2)); that of iopl(2) is another right. */
bool has_io_ports(pid_t tid);

/* Whether a descriptor describes nothing. */
int tls_is_empty(const struct user_desc *slot);
