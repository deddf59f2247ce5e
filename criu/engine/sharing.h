/*
 * What clone(2) lets processes share, and unshare(2) lets threads have for themselves, beyond what the image format can
 * express: refused by name.
 */
#pragma once

struct dump;

/* Look stage, behind task_look() and before task_look_traced(): the refusals are noted in d->refusals. */
void sharing_look(struct dump *d);
