/* What a process can have thousands of. Each takes a number and says with die() what went wrong. */
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
void open_links(const unsigned long *sizes);
void open_terminals(const unsigned long *sizes);
void make_timers(const unsigned long *sizes);
void map_pages(const unsigned long *sizes);
void map_objects(const unsigned long *sizes);
void map_files(const unsigned long *sizes);
void leave_zombies(const unsigned long *sizes);
void queue_signals(const unsigned long *sizes);
