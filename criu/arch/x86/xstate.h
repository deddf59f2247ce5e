/*
 * The extended state of a thread: between the kernel's NT_X86_XSTATE register set (the XSAVE standard format: legacy
 * FXSAVE area, 64-byte header, components at the offsets CPUID tells) and the image's arrays per component.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "images/core-x86.pb-c.h"

/* Bytes of the register set on this processor: what to hand to PTRACE_GETREGSET; 512 without XSAVE. */
size_t xstate_bytes(void);

/* XCR0: the components the kernel has enabled here. */
uint64_t xstate_enabled_components(void);

/* "AVX-512 ZMM_Hi256" ... for a component number. */
const char *xstate_component_name(unsigned component);

/* Whether memory can be under protection keys: this processor has them, and the kernel lets them be used. */
bool xstate_has_protection_keys(void);

/*
 * Of the components that a process may use (ARCH_GET_XCOMP_PERM) those it had to ask for: AMX tile data. All others
 * that are enabled, the configuration of tiles among them, any process may use.
 */
uint64_t xstate_requested_components(uint64_t permitted);

/*
 * Makes the message from the bytes PTRACE_GETREGSET returned. Arrays of every component this processor has are filled,
 * whatever xstate_bv says: the initial state where it says so. Refused by name: state in a component which the image
 * cannot hold (AMX tile data, ...). The message is malloc()ed in the way protobuf-c frees.
 */
int xstate_to_image(const void *area, size_t bytes, UserX86FpregsEntry **ret, struct error *err);

/*
 * The same register set from an area as the kernel itself keeps it, compacted or not, with what it keeps beside: ret
 * has xstate_bytes() bytes and 64-byte alignment. -EBADMSG: that is no such area.
 */
int xstate_from_kernel(const void *kernel_area, size_t bytes, uint32_t pkru, void *ret);

/*
 * Builds a register set of xstate_bytes() for this processor. Refused: a component with state (its bit in xstate_bv)
 * which this processor lacks, all of them named; arrays of wrong length; reserved bits of mxcsr.
 * area has xstate_bytes() bytes and 64-byte alignment.
 */
int xstate_from_image(const UserX86FpregsEntry *fpregs, void *area, struct error *err);

/*
 * Components that a thread takes over itself, by XRSTOR from such an area: all but those that would stand in its way
 * meanwhile (the rights of protection keys). Without XSAVE what FXRSTOR loads.
 */
uint64_t xstate_self_components(void);

/* The rights of protection keys that such an area gives: two bits for each key, 0 where there are none. */
uint32_t xstate_key_rights(const void *area);

/* Whether that is not enough for this area: a component left out is not what the caller has, and new threads inherit.
 */
bool xstate_needs_tracer(const void *area);
