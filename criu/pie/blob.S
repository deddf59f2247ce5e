/* A PIE's bytes as an object: BLOB_start to BLOB_end. */
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

	.section .rodata
	.balign 64
	.globl PASTE(BLOB, _start)
	.globl PASTE(BLOB, _end)
PASTE(BLOB, _start):
	.incbin BLOB_FILE
PASTE(BLOB, _end):
	.section .note.GNU-stack, "", @progbits
