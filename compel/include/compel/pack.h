/*
 * Packing code for a task: a relocatable object, linked with scripts/compel-pack.lds, becomes a C header with the bytes
 * and the offsets of its symbols, so that the program that injects it needs no file at run time.
 */
#pragma once

#include <compel/compel.h>
#include <stdio.h>

/*
 * Writes to out, with prefix P:
 *
 *	static const unsigned char P_blob[]          the image, relocated as far as it is independent of its address
 *	static const struct { ... } P_relocs[]       offset, addend, bytes: words that hold address of the blob + addend
 *	#define P_sym__NAME 0x...                    offset of each global symbol
 */
int compel_pack(const void *object, size_t bytes, const char *prefix, FILE *out, struct compel_error *err);
