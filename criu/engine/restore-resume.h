/*
 * Taking the new tree over: its threads sleep in the restorer blob until they are seized, and get their registers from
 * outside. Up to the commit point their registers are the blob's, so that they go on sleeping should the worker die;
 * from there on each step can be repeated (restore-rescue.h).
 */
#pragma once

#include "base/error.h"

struct restore;

/* Seizes the threads that wait for their seccomp filters, with filters suspended, and lets them go on. */
int restore_trace_filtered(struct restore *r, struct error *err);

/* All threads are ready: seizes and stops them, sets what can fail and only a tracer can set. */
int restore_take_over(struct restore *r, struct error *err);

/*
 * Behind the commit point: registers, masks; the area is unmapped; all threads are let go, or those that can be are
 * left to the end of the calling thread when the shared word tracer_ends says that it comes.
 */
int restore_hand_over(struct restore *r, struct error *err);
