/* What a process can have thousands of open. Each takes a number and says with die() what went wrong. */
#pragma once

void die(const char *what) __attribute__((noreturn));

/* So many descriptors beside a few. */
void allow_descriptors(unsigned long count);

void open_pipes(const unsigned long *sizes);
void open_fifos(const unsigned long *sizes);
void open_events(const unsigned long *sizes);
void open_ghosts(const unsigned long *sizes);
void open_ended(const unsigned long *sizes);
void watch_files(const unsigned long *sizes);
void lock_ranges(const unsigned long *sizes);
void lock_files(const unsigned long *sizes);
void poll_events(const unsigned long *sizes);
void poll_moved(const unsigned long *sizes);
