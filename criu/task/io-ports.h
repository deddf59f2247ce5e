/*
 * The right to use all I/O ports (iopl(2)). Nothing shows a thread's level, but a thread that may not raise it is told
 * whether it has the highest one by asking for it: for the others the kernel's own structures have to be read.
 */
#pragma once

#include "engine/dump.h"

struct parasite_thread;

/* Look stage, by one thread: sets state->port_level. */
void io_ports_look(struct dump *d);

/* The level, from the infect stage on. */
unsigned int io_ports_level(const struct task_thread *thread);
