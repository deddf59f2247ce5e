/* prctl(2) and arch_prctl(2) codes that the kernel headers of older distributions lack. */
#pragma once

#include <linux/prctl.h>
#include <asm/prctl.h>

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856 /* 6.4 */
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65 /* 6.3 */
#define PR_MDWE_REFUSE_EXEC_GAIN (1UL << 0)
#define PR_GET_MDWE              66
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT (1UL << 1) /* 6.6 */
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77 /* 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON  1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif
#ifndef PR_FUTEX_HASH
#define PR_FUTEX_HASH 78 /* 6.16 */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41 /* 5.17 */
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef ARCH_MAP_VDSO_64
#define ARCH_MAP_VDSO_X32 0x2001
#define ARCH_MAP_VDSO_32  0x2002
#define ARCH_MAP_VDSO_64  0x2003
#endif
#ifndef ARCH_SHSTK_ENABLE
#define ARCH_SHSTK_ENABLE  0x5001 /* 6.6 */
#define ARCH_SHSTK_DISABLE 0x5002
#define ARCH_SHSTK_LOCK    0x5003
#define ARCH_SHSTK_UNLOCK  0x5004
#define ARCH_SHSTK_STATUS  0x5005
#define ARCH_SHSTK_SHSTK   (1ULL << 0)
#define ARCH_SHSTK_WRSS    (1ULL << 1)
#endif
