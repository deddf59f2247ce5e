/* The worker's heap, made cheap to inherit. */
#pragma once

/*
 * Moves large private memory of this process into a file that it maps copy-on-write instead. Nothing can be seen of
 * that but the speed of fork: page tables of such mappings are not copied, and what a child does not use costs it
 * nothing. To be called while there is one thread. What cannot be moved stays as it is.
 */
void restore_make_heap_cheap(void);
