/*
 * One table row per component that the image holds serves both directions. Sizes of components are architectural, their
 * offsets are this processor's (CPUID leaf 0xd).
 */
#include "arch/x86/xstate.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* The legacy area, as FXSAVE64 writes it. */
struct legacy_area {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_space[32];
	uint32_t xmm_space[64];
	uint32_t reserved[12];
	uint32_t software[12]; /* free for software: the kernel's marks in a signal frame */
};

struct xstate_header {
	uint64_t xstate_bv, xcomp_bv, reserved[6];
};

#define LEGACY_BYTES 512
#define HEADER_BYTES 64

_Static_assert(sizeof(struct legacy_area) == LEGACY_BYTES, "layout of the FXSAVE area");
_Static_assert(sizeof(struct xstate_header) == HEADER_BYTES, "layout of the XSAVE header");

#define COMPONENT_X87     0
#define COMPONENT_SSE     1
#define COMPONENT_PKRU    9
#define COMPONENT_TILES   18
#define COMPONENT_BIT(n)  (UINT64_C(1) << (n))
#define LEGACY_COMPONENTS (COMPONENT_BIT(COMPONENT_X87) | COMPONENT_BIT(COMPONENT_SSE))

static const char *const component_names[] = {
	[0] = "x87",
	[1] = "SSE",
	[2] = "AVX",
	[3] = "MPX bounds registers",
	[4] = "MPX configuration",
	[5] = "AVX-512 opmask",
	[6] = "AVX-512 ZMM_Hi256",
	[7] = "AVX-512 Hi16_ZMM",
	[8] = "processor trace",
	[9] = "protection keys",
	[10] = "PASID",
	[11] = "user shadow stack",
	[12] = "supervisor shadow stack",
	[17] = "AMX tile configuration",
	[18] = "AMX tile data",
	[19] = "APX extended registers",
};

const char *xstate_component_name(unsigned component)
{
	if (component < ARRAY_SIZE(component_names) && component_names[component])
		return component_names[component];
	return "unknown extended state";
}

/* Arrays of the image, one per component. Sizes are architectural. */
struct image_component {
	unsigned number;
	unsigned bytes;
	unsigned element_bytes;
	size_t count_offset, array_offset; /* in UserX86XsaveEntry */
};

#define IMAGE_COMPONENT(component, size, type, member)                                                                 \
	{                                                                                                              \
		component, size, sizeof(type), offsetof(UserX86XsaveEntry, n_##member),                                \
		    offsetof(UserX86XsaveEntry, member)                                                                \
	}

static const struct image_component image_components[] = {
	IMAGE_COMPONENT(2, 256, uint32_t, ymmh_space),  IMAGE_COMPONENT(3, 64, uint64_t, bndreg_state),
	IMAGE_COMPONENT(4, 64, uint64_t, bndcsr_state), IMAGE_COMPONENT(5, 64, uint64_t, opmask_reg),
	IMAGE_COMPONENT(6, 512, uint64_t, zmm_upper),   IMAGE_COMPONENT(7, 1024, uint64_t, hi16_zmm),
	IMAGE_COMPONENT(9, 8, uint32_t, pkru),
};

static size_t *array_count(const struct image_component *component, const UserX86XsaveEntry *xsave)
{
	return (size_t *)((char *)xsave + component->count_offset);
}

static void **array_data(const struct image_component *component, const UserX86XsaveEntry *xsave)
{
	return (void **)((char *)xsave + component->array_offset);
}

static size_t array_length(const struct image_component *component)
{
	return component->bytes / component->element_bytes;
}

/* --- this processor ---------------------------------------------------------------------------------------------- */

/* CPUID leaves a virtual machine each time it is asked, for microseconds: everything is asked once. */
static struct {
	bool has_xsave, has_shadow_stack;
	uint64_t components;
	size_t bytes;
	size_t offsets[ARRAY_SIZE(
	    image_components)]; /* 0: this processor and kernel lack it, or have it in another size */
} processor;

static void read_components(void)
{
	uint32_t low, high;
	unsigned a, b, c, d;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	processor.components = ((uint64_t)high << 32) | low;
	__cpuid_count(0xd, 0, a, b, c, d);
	processor.bytes = b;
	for (size_t i = 0; i < ARRAY_SIZE(image_components); i++) {
		const struct image_component *component = &image_components[i];

		if (!(processor.components & COMPONENT_BIT(component->number)))
			continue;
		__cpuid_count(0xd, component->number, a, b, c, d);
		if (a == component->bytes && b >= LEGACY_BYTES + HEADER_BYTES && b + a <= processor.bytes)
			processor.offsets[i] = b;
	}
}

static void read_processor(void)
{
	unsigned a, b, c, d, leaves;

	__cpuid(0, leaves, b, c, d);
	__cpuid(1, a, b, c, d);
	processor.has_xsave = c & bit_OSXSAVE;
	if (leaves >= 7) {
		__cpuid_count(7, 0, a, b, c, d);
		processor.has_shadow_stack = c & (1U << 7);
	}
	processor.components = LEGACY_COMPONENTS;
	processor.bytes = LEGACY_BYTES;
	if (processor.has_xsave)
		read_components();
}

static void know_processor(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, read_processor);
}

uint64_t xstate_requested_components(uint64_t permitted)
{
	return permitted & COMPONENT_BIT(COMPONENT_TILES);
}

static bool has_shadow_stack(void)
{
	know_processor();
	return processor.has_shadow_stack;
}

uint64_t xstate_enabled_components(void)
{
	know_processor();
	return processor.components;
}

size_t xstate_bytes(void)
{
	know_processor();
	return processor.bytes;
}

/* Offset of a component in the standard format; 0 when it is not there. */
static size_t component_offset(const struct image_component *component)
{
	know_processor();
	return processor.offsets[component - image_components];
}

/* Bits of mxcsr that this processor knows. */
static uint32_t known_mxcsr_bits(void)
{
	_Alignas(64) struct legacy_area area = { 0 };

	__asm__ volatile("fxsave64 %0" : "+m"(area));
	return area.mxcsr_mask ? area.mxcsr_mask : 0xffbf;
}

/* --- names in a sentence ----------------------------------------------------------------------------------------- */

static void list_components(uint64_t components, char *text, size_t capacity)
{
	unsigned number;
	size_t at = 0;

	text[0] = '\0';
	for (number = 0; number < 64; number++) {
		int n;

		if (!(components & COMPONENT_BIT(number)))
			continue;
		n = snprintf(text + at, capacity - at, "%s%s", at ? ", " : "", xstate_component_name(number));
		if (n < 0 || (size_t)n >= capacity - at)
			return;
		at += (size_t)n;
	}
}

static uint64_t representable_components(void)
{
	uint64_t components = LEGACY_COMPONENTS;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(image_components); i++)
		components |= COMPONENT_BIT(image_components[i].number);
	return components;
}

/* --- to the image ------------------------------------------------------------------------------------------------ */

static int copy_u32s(const uint32_t *from, size_t count, uint32_t **ret, size_t *ret_count)
{
	*ret = malloc(count * sizeof(*from));
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, from, count * sizeof(*from));
	*ret_count = count;
	return 0;
}

static int legacy_to_image(const struct legacy_area *legacy, UserX86FpregsEntry *fpregs)
{
	int r;

	fpregs->cwd = legacy->cwd;
	fpregs->swd = legacy->swd;
	fpregs->twd = legacy->twd;
	fpregs->fop = legacy->fop;
	fpregs->rip = legacy->rip;
	fpregs->rdp = legacy->rdp;
	fpregs->mxcsr = legacy->mxcsr;
	fpregs->mxcsr_mask = legacy->mxcsr_mask;
	r = copy_u32s(legacy->st_space, ARRAY_SIZE(legacy->st_space), &fpregs->st_space, &fpregs->n_st_space);
	if (r < 0)
		return r;
	return copy_u32s(legacy->xmm_space, ARRAY_SIZE(legacy->xmm_space), &fpregs->xmm_space, &fpregs->n_xmm_space);
}

static int component_to_image(const struct image_component *component, const char *area, size_t bytes,
			      UserX86XsaveEntry *xsave)
{
	size_t offset = component_offset(component);
	void *array;

	if (!offset || offset + component->bytes > bytes)
		return 0;
	array = malloc(component->bytes);
	if (!array)
		return -ENOMEM;
	memcpy(array, area + offset, component->bytes);
	*array_data(component, xsave) = array;
	*array_count(component, xsave) = array_length(component);
	return 0;
}

/*
 * Rights of protection keys change what memory is, so what they are is never left to what a reader takes for the
 * initial state. The kernel fills them in whether the bit is set or not.
 */
static void tell_key_rights(UserX86XsaveEntry *xsave)
{
	if (xsave->n_pkru)
		xsave->xstate_bv |= COMPONENT_BIT(COMPONENT_PKRU);
}

/* Values are those of a task without a shadow stack; who reads NT_X86_SHSTK puts the real ones there. */
static int add_cet(UserX86XsaveEntry *xsave)
{
	if (!has_shadow_stack())
		return 0;
	xsave->cet = malloc(sizeof(*xsave->cet));
	if (!xsave->cet)
		return -ENOMEM;
	user_x86_cet_entry__init(xsave->cet);
	return 0;
}

static int extended_to_image(const char *area, size_t bytes, UserX86FpregsEntry *fpregs, struct error *err)
{
	const struct xstate_header *header = (const void *)(area + LEGACY_BYTES);
	uint64_t foreign = header->xstate_bv & ~representable_components();
	char names[256];
	size_t i;
	int r;

	if (foreign) {
		list_components(foreign, names, sizeof(names));
		if (foreign & COMPONENT_BIT(COMPONENT_TILES))
			error_hint(err, "dump it while its tiles are released (TILERELEASE), or start it without AMX");
		return error_say(err, -EOPNOTSUPP, "registers with state that the image format does not hold: %s",
				 names);
	}
	fpregs->xsave = malloc(sizeof(*fpregs->xsave));
	if (!fpregs->xsave)
		return error_set(err, -ENOMEM, "extended registers");
	user_x86_xsave_entry__init(fpregs->xsave);
	fpregs->xsave->xstate_bv = header->xstate_bv;
	for (i = 0; i < ARRAY_SIZE(image_components); i++) {
		r = component_to_image(&image_components[i], area, bytes, fpregs->xsave);
		if (r < 0)
			return error_set(err, r, "extended registers");
	}
	tell_key_rights(fpregs->xsave);
	r = add_cet(fpregs->xsave);
	return r < 0 ? error_set(err, r, "extended registers") : 0;
}

static int fill_message(const void *area, size_t bytes, UserX86FpregsEntry *fpregs, struct error *err)
{
	int r;

	if (bytes < LEGACY_BYTES)
		return error_say(err, -EINVAL, "extended registers: %zu bytes are too few", bytes);
	r = legacy_to_image(area, fpregs);
	if (r < 0)
		return error_set(err, r, "floating point registers");
	if (bytes < LEGACY_BYTES + HEADER_BYTES)
		return 0;
	return extended_to_image(area, bytes, fpregs, err);
}

int xstate_to_image(const void *area, size_t bytes, UserX86FpregsEntry **ret, struct error *err)
{
	UserX86FpregsEntry *fpregs = malloc(sizeof(*fpregs));
	int r;

	if (!fpregs)
		return error_set(err, -ENOMEM, "extended registers");
	user_x86_fpregs_entry__init(fpregs);
	r = fill_message(area, bytes, fpregs, err);
	if (r < 0) {
		user_x86_fpregs_entry__free_unpacked(fpregs, NULL);
		return r;
	}
	*ret = fpregs;
	return 0;
}

/* --- from the kernel's own area ---------------------------------------------------------------------------------- */

#define COMPACTED     COMPONENT_BIT(63)
#define COMPONENT_AVX 2
#define INITIAL_CWD   0x37f
#define INITIAL_MXCSR 0x1f80

/* Where a component stands in a compacted area: behind those before it, at a cache line where CPUID says so. */
static size_t compacted_offset(uint64_t components, unsigned number, size_t *ret_bytes)
{
	size_t at = LEGACY_BYTES + HEADER_BYTES;
	unsigned a, b, c, d;

	*ret_bytes = 0;
	for (unsigned n = COMPONENT_AVX; n <= number; n++) {
		if (!(components & COMPONENT_BIT(n)))
			continue;
		at += *ret_bytes;
		__cpuid_count(0xd, n, a, b, c, d);
		if (c & 2)
			at = (at + 63) & ~(size_t)63;
		*ret_bytes = a;
	}
	return at;
}

static int copy_component(const char *from, size_t bytes, const struct image_component *component, char *area)
{
	const struct xstate_header *header = (const void *)(from + LEGACY_BYTES);
	const size_t to = component_offset(component);
	size_t at = to, found = component->bytes;

	if (header->xcomp_bv & COMPACTED)
		at = compacted_offset(header->xcomp_bv, component->number, &found);
	if (!to || found != component->bytes || at > bytes || found > bytes - at)
		return -EBADMSG;
	memcpy(area + to, from + at, component->bytes);
	return 0;
}

static void copy_legacy(const struct legacy_area *from, uint64_t components, struct legacy_area *to)
{
	*to = (struct legacy_area){ .cwd = INITIAL_CWD, .mxcsr = INITIAL_MXCSR };
	if (components & COMPONENT_BIT(COMPONENT_X87)) {
		*to = *from;
		memset(to->xmm_space, 0, sizeof(to->xmm_space));
		to->mxcsr = INITIAL_MXCSR;
	}
	if (components & COMPONENT_BIT(COMPONENT_SSE))
		memcpy(to->xmm_space, from->xmm_space, sizeof(to->xmm_space));
	if (components & (COMPONENT_BIT(COMPONENT_SSE) | COMPONENT_BIT(COMPONENT_AVX)))
		to->mxcsr = from->mxcsr;
	to->mxcsr_mask = known_mxcsr_bits();
	memset(to->reserved, 0, sizeof(to->reserved));
	memset(to->software, 0, sizeof(to->software));
}

/* The rights of protection keys stand beside the area, and are in use always. */
static int copy_extended(const char *from, size_t bytes, uint32_t pkru, char *area)
{
	const struct xstate_header *header = (const void *)(from + LEGACY_BYTES);
	struct xstate_header *to = (void *)(area + LEGACY_BYTES);

	to->xstate_bv = header->xstate_bv & processor.components & ~COMPONENT_BIT(COMPONENT_PKRU);
	for (size_t i = 0; i < ARRAY_SIZE(image_components); i++) {
		const struct image_component *component = &image_components[i];
		const uint64_t bit = COMPONENT_BIT(component->number);
		int r = to->xstate_bv & bit ? copy_component(from, bytes, component, area) : 0;

		if (r < 0)
			return r;
		if (component->number != COMPONENT_PKRU || !component_offset(component))
			continue;
		memcpy(area + component_offset(component), &pkru, sizeof(pkru));
		to->xstate_bv |= bit;
	}
	return 0;
}

int xstate_from_kernel(const void *kernel_area, size_t bytes, uint32_t pkru, void *ret)
{
	const struct xstate_header *header = (const void *)((const char *)kernel_area + LEGACY_BYTES);
	uint64_t components = LEGACY_COMPONENTS;

	know_processor();
	if (bytes < LEGACY_BYTES || (processor.has_xsave && bytes < LEGACY_BYTES + HEADER_BYTES))
		return -EBADMSG;
	memset(ret, 0, processor.bytes);
	if (processor.has_xsave) {
		components = header->xstate_bv;
		if (header->reserved[0] || header->reserved[1] || (header->xcomp_bv && !(header->xcomp_bv & COMPACTED)))
			return -EBADMSG;
	}
	copy_legacy(kernel_area, components, ret);
	return processor.has_xsave ? copy_extended(kernel_area, bytes, pkru, ret) : 0;
}

/* --- from the image ---------------------------------------------------------------------------------------------- */

static int legacy_from_image(const UserX86FpregsEntry *fpregs, struct legacy_area *legacy, struct error *err)
{
	uint32_t known = known_mxcsr_bits();

	if (fpregs->n_st_space != ARRAY_SIZE(legacy->st_space) || fpregs->n_xmm_space != ARRAY_SIZE(legacy->xmm_space))
		return error_say(err, -EINVAL, "image: %zu words of x87 and %zu of SSE registers, not 32 and 64",
				 fpregs->n_st_space, fpregs->n_xmm_space);
	if (fpregs->mxcsr & ~known)
		return error_say(err, -EINVAL, "image: mxcsr 0x%x has bits that this processor does not know (0x%x)",
				 fpregs->mxcsr, fpregs->mxcsr & ~known);
	legacy->cwd = (uint16_t)fpregs->cwd;
	legacy->swd = (uint16_t)fpregs->swd;
	legacy->twd = (uint16_t)fpregs->twd;
	legacy->fop = (uint16_t)fpregs->fop;
	legacy->rip = fpregs->rip;
	legacy->rdp = fpregs->rdp;
	legacy->mxcsr = fpregs->mxcsr;
	legacy->mxcsr_mask = known;
	memcpy(legacy->st_space, fpregs->st_space, sizeof(legacy->st_space));
	memcpy(legacy->xmm_space, fpregs->xmm_space, sizeof(legacy->xmm_space));
	return 0;
}

static bool is_all_zero(const void *data, size_t bytes)
{
	const unsigned char *at = data;

	return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

#define USUAL_KEY_RIGHTS                                                                                               \
	0x55555554u /* with which the kernel starts a program: no key but 0, which all memory is under */

/* What a processor without the component is in as well: for each of them all zeroes, the initial state. */
static bool is_nothing(const struct image_component *component, const void *data)
{
	const uint32_t usual[2] = { USUAL_KEY_RIGHTS };

	return is_all_zero(data, component->bytes) ||
	       (component->number == COMPONENT_PKRU && !memcmp(data, usual, sizeof(usual)));
}

/* What a thread has of whom the image tells nothing, for it comes from a processor without protection keys. */
static void set_usual_key_rights(char *area)
{
	const uint32_t usual = USUAL_KEY_RIGHTS;

	for (size_t i = 0; i < ARRAY_SIZE(image_components); i++) {
		size_t offset = component_offset(&image_components[i]);

		if (image_components[i].number != COMPONENT_PKRU || !offset)
			continue;
		memcpy(area + offset, &usual, sizeof(usual));
		((struct xstate_header *)(area + LEGACY_BYTES))->xstate_bv |= COMPONENT_BIT(COMPONENT_PKRU);
	}
}

/* Copies one component; its bit goes to *lacking when this processor cannot hold it. */
static int component_from_image(const struct image_component *component, const UserX86XsaveEntry *xsave, char *area,
				uint64_t *lacking, struct error *err)
{
	struct xstate_header *header = (void *)(area + LEGACY_BYTES);
	uint64_t bit = COMPONENT_BIT(component->number);
	size_t count = *array_count(component, xsave), offset = component_offset(component);
	const void *data = *array_data(component, xsave);

	if (count && count != array_length(component))
		return error_say(err, -EINVAL, "image: %s has %zu words, not %zu",
				 xstate_component_name(component->number), count, array_length(component));
	/* Of the rights of keys what is there counts, see tell_key_rights(). */
	if (!(xsave->xstate_bv & bit) && !(component->number == COMPONENT_PKRU && count))
		return 0;
	if (!count)
		return error_say(err, -EINVAL, "image: %s is in use but has no data",
				 xstate_component_name(component->number));
	if (!offset) {
		if (!is_nothing(component, data))
			*lacking |= bit;
		return 0;
	}
	memcpy(area + offset, data, component->bytes);
	header->xstate_bv |= bit;
	return 0;
}

static int refuse_foreign(const UserX86XsaveEntry *xsave, struct error *err)
{
	uint64_t foreign = xsave->xstate_bv & ~representable_components();
	char names[256];

	if (foreign) {
		list_components(foreign, names, sizeof(names));
		return error_say(err, -EINVAL, "image: state in components that the format does not hold: %s", names);
	}
	if (xsave->cet && xsave->cet->cet)
		return error_say(err, -EOPNOTSUPP, "a user shadow stack cannot be restored");
	return 0;
}

static int extended_from_image(const UserX86XsaveEntry *xsave, char *area, struct error *err)
{
	struct xstate_header *header = (void *)(area + LEGACY_BYTES);
	uint64_t lacking = 0;
	char names[256];
	size_t i;
	int r = refuse_foreign(xsave, err);

	if (r < 0)
		return r;
	header->xstate_bv = xsave->xstate_bv & LEGACY_COMPONENTS;
	set_usual_key_rights(area);
	for (i = 0; i < ARRAY_SIZE(image_components); i++) {
		r = component_from_image(&image_components[i], xsave, area, &lacking, err);
		if (r < 0)
			return r;
	}
	if (!lacking)
		return 0;
	list_components(lacking, names, sizeof(names));
	error_say(err, -EOPNOTSUPP, "the task uses registers which this processor lacks: %s", names);
	error_hint(err, "restore on a processor that has them, or keep programs from using them before the dump "
			"(glibc: GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,...)");
	return -EOPNOTSUPP;
}

/* A processor without XSAVE can only take an image with no more than the legacy state in use. */
static int check_legacy_only(const UserX86XsaveEntry *xsave, struct error *err)
{
	uint64_t lacking = xsave->xstate_bv & ~LEGACY_COMPONENTS;
	char names[256];

	if (!lacking)
		return refuse_foreign(xsave, err);
	list_components(lacking, names, sizeof(names));
	return error_say(err, -EOPNOTSUPP, "the task uses registers which this processor lacks: %s", names);
}

int xstate_from_image(const UserX86FpregsEntry *fpregs, void *area, struct error *err)
{
	size_t bytes = xstate_bytes();
	int r;

	memset(area, 0, bytes);
	r = legacy_from_image(fpregs, area, err);
	if (r < 0)
		return r;
	if (bytes == LEGACY_BYTES)
		return fpregs->xsave ? check_legacy_only(fpregs->xsave, err) : 0;
	if (fpregs->xsave)
		return extended_from_image(fpregs->xsave, area, err);
	((struct xstate_header *)((char *)area + LEGACY_BYTES))->xstate_bv = LEGACY_COMPONENTS;
	set_usual_key_rights(area);
	return 0;
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

bool xstate_has_protection_keys(void)
{
	return xstate_enabled_components() & COMPONENT_BIT(COMPONENT_PKRU);
}

static uint32_t own_key_rights(void)
{
	uint32_t rights, high;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee" /* rdpkru */ : "=a"(rights), "=d"(high) : "c"(0));
	return rights;
}

uint32_t xstate_key_rights(const void *at)
{
	const char *area = at;
	const struct xstate_header *header = (const void *)(area + LEGACY_BYTES);
	uint32_t rights = 0;

	for (size_t i = 0; i < ARRAY_SIZE(image_components); i++)
		if (image_components[i].number == COMPONENT_PKRU && header->xstate_bv & COMPONENT_BIT(COMPONENT_PKRU) &&
		    component_offset(&image_components[i]))
			memcpy(&rights, area + component_offset(&image_components[i]), sizeof(rights));
	return rights;
}

uint64_t xstate_self_components(void)
{
	return xstate_enabled_components() & representable_components() & ~COMPONENT_BIT(COMPONENT_PKRU);
}

bool xstate_needs_tracer(const void *area)
{
	return xstate_has_protection_keys() && xstate_key_rights(area) != own_key_rights();
}
