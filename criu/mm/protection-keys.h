/* Protection keys: which are allocated, and which mapping is under which. Both directions. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "image/image-check.h"
#include "images/mm.pb-c.h"
#include "pie/restorer-border.h"

struct dump;
struct proc_vma;
struct task;

/* Look stage: only the kernel can put its own areas under keys again. */
bool protection_keys_can_restore(const struct proc_vma *vma, bool is_kernel_area);

/* What the kernel says, where that is worth the price. */
void protection_keys_look(struct dump *d, struct task *task);

/* Whether the parasite has to find out which keys are allocated. */
bool protection_keys_are_to_be_asked(const struct task *task);

/* Save stage: what the image tells beside the keys of its mappings. */
void protection_keys_save(const struct task *task, MmEntry *mm);

/* A reader that skips all of it would give the program other memory than it had. */
bool protection_keys_are_needed(const struct task *task);

/* Restore: refuses, by name, what this processor cannot hold; what the restorer is to do. */
int protection_keys_check(const struct checked_task *task, struct error *err);
void protection_keys_plan(const MmEntry *mm, struct restorer_task *out);
