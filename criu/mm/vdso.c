/*
 * The old vdso's bytes are in the page map like private memory. Its dynamic symbols say where its functions are; only
 * the exported ones are ever called from outside. The bytes come from an image, so every offset is checked.
 */
#include "mm/vdso.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/util.h"
#include "engine/restore.h"
#include "image/vma-status.h"
#include "kernel/proc-maps.h"
#include "kernel/proc-pid.h"
#include "mm/restore-area.h"

#define JUMP_BYTES     14 /* jmp *0(%rip) and an address */
#define STUB_BYTES     8
#define VDSO_MAX_BYTES (1u << 20)
#define LOWEST_ADDRESS 65536

struct vdso_symbols {
	const Elf64_Sym *symbols;
	size_t count;
	const char *names;
	size_t names_bytes;
};

struct old_vdso {
	uint64_t data_start, start, end; /* data_start: of vvar; equal to start when there is none */
	uint64_t data_end;               /* of vvar, wherever it is */
	char *code;
	bool complete;
};

int vdso_read_own(struct vdso_image *ret)
{
	AUTO_PROC_MAPS struct proc_maps maps = { 0 };
	AUTO_CLOSE int procfd = proc_open(0);
	uint64_t data_start = 0, data_end = 0;
	int r = procfd < 0 ? procfd : proc_maps_read(procfd, false, &maps);

	*ret = (struct vdso_image){ 0 };
	for (size_t i = 0; r == 0 && i < maps.count; i++) {
		const struct proc_vma *vma = &maps.vmas[i];
		const char *name = proc_vma_path(&maps, vma);

		if (strncmp(name, "[vvar", 5) == 0) {
			if (data_end != vma->start)
				data_start = vma->start;
			data_end = vma->end;
		}
		if (strcmp(name, "[vdso]") == 0) {
			ret->code = (const void *)vma->start;
			ret->code_bytes = vma->end - vma->start;
			ret->data_bytes = data_end == vma->start ? data_end - data_start : 0;
		}
	}
	return r;
}

static const void *find_dynamic(const char *code, uint64_t bytes, Elf64_Sxword tag)
{
	const Elf64_Ehdr *header = (const void *)code;
	const Elf64_Phdr *segments = (const void *)(code + header->e_phoff);

	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Dyn *dynamic = (const void *)(code + segments[i].p_offset);

		if (segments[i].p_type != PT_DYNAMIC || segments[i].p_offset >= bytes ||
		    segments[i].p_filesz > bytes - segments[i].p_offset)
			continue;
		for (size_t k = 0; k < segments[i].p_filesz / sizeof(*dynamic) && dynamic[k].d_tag != DT_NULL; k++)
			if (dynamic[k].d_tag == tag && dynamic[k].d_un.d_ptr < bytes)
				return code + dynamic[k].d_un.d_ptr;
	}
	return NULL;
}

/* The hash tables know how many symbols there are: the old one says it, for the other they end where names begin. */
static int find_symbols(const char *code, uint64_t bytes, struct vdso_symbols *ret)
{
	const Elf64_Ehdr *header = (const void *)code;
	const uint32_t *hash;

	if (bytes < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phoff >= bytes ||
	    header->e_phnum * sizeof(Elf64_Phdr) > bytes - header->e_phoff)
		return -ENOEXEC;
	hash = find_dynamic(code, bytes, DT_HASH);
	ret->symbols = find_dynamic(code, bytes, DT_SYMTAB);
	ret->names = find_dynamic(code, bytes, DT_STRTAB);
	if (!ret->symbols || !ret->names)
		return -ENOEXEC;
	if (hash && (uint64_t)((const char *)(hash + 2) - code) <= bytes)
		ret->count = hash[1];
	else if ((const char *)ret->symbols < ret->names)
		ret->count = (size_t)(ret->names - (const char *)ret->symbols) / sizeof(Elf64_Sym);
	if (ret->count > (bytes - (uint64_t)((const char *)ret->symbols - code)) / sizeof(Elf64_Sym))
		return -ENOEXEC;
	ret->names_bytes = bytes - (uint64_t)(ret->names - code);
	return 0;
}

static const char *symbol_name(const struct vdso_symbols *symbols, const Elf64_Sym *symbol)
{
	if (symbol->st_name >= symbols->names_bytes ||
	    !memchr(symbols->names + symbol->st_name, '\0', symbols->names_bytes - symbol->st_name))
		return "";
	return symbols->names + symbol->st_name;
}

static bool is_function(const Elf64_Sym *symbol)
{
	return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF;
}

static const Elf64_Sym *find_symbol(const struct vdso_symbols *symbols, const char *name)
{
	for (size_t i = 0; i < symbols->count; i++)
		if (is_function(&symbols->symbols[i]) && strcmp(symbol_name(symbols, &symbols->symbols[i]), name) == 0)
			return &symbols->symbols[i];
	return NULL;
}

static int add_jump(struct restorer_task *restorer, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < restorer->jump_count; i++)
		if (restorer->jumps[i].from == from)
			return 0;
	if (restorer->jump_count == VDSO_JUMP_LIMIT)
		return -E2BIG;
	restorer->jumps[restorer->jump_count++] = (struct restorer_jump){ from, to };
	return 0;
}

static int plan_jumps(const struct vdso_image *own, const struct old_vdso *old, struct restorer_task *restorer,
		      uint64_t new_start, const char **ret_missing)
{
	struct vdso_symbols from = { 0 }, to = { 0 };
	int r = find_symbols(old->code, old->end - old->start, &from);

	if (r == 0)
		r = find_symbols(own->code, own->code_bytes, &to);
	for (size_t i = 0; r == 0 && i < from.count; i++) {
		const Elf64_Sym *symbol = &from.symbols[i], *same;

		if (!is_function(symbol))
			continue;
		if (symbol->st_value > old->end - old->start - JUMP_BYTES || symbol->st_size < JUMP_BYTES)
			return -ENOEXEC;
		same = find_symbol(&to, symbol_name(&from, symbol));
		if (!same) {
			*ret_missing = symbol_name(&from, symbol);
			return -ENOSYS;
		}
		r = add_jump(restorer, old->start + symbol->st_value, new_start + same->st_value);
	}
	return r;
}

static void find_old(const struct checked_task *task, struct old_vdso *old)
{
	uint64_t data_start = 0, data_end = 0;

	for (size_t i = 0; i < task->mm->n_vmas; i++) {
		const VmaEntry *vma = task->mm->vmas[i];

		if (vma->status & VMA_VVAR) {
			if (data_end != vma->start)
				data_start = vma->start;
			data_end = vma->end;
		} else if (vma->status & VMA_VDSO) {
			old->start = vma->start;
			old->end = vma->end;
			old->data_start = data_end == vma->start ? data_start : vma->start;
		}
	}
	if (!old->end)
		old->data_start = data_start;
	old->data_end = data_end;
}

static int read_old(const struct checked_task *task, struct old_vdso *old, struct error *err)
{
	uint64_t have = 0, bytes = old->end - old->start;

	if (bytes > VDSO_MAX_BYTES)
		return error_say(err, -EBADMSG, "a vdso of %llu bytes", (unsigned long long)bytes);
	old->code = calloc(1, bytes);
	if (!old->code)
		return error_set(err, -ENOMEM, "read its vdso");
	for (size_t i = task->pagemap ? pagemap_find_extent(task->pagemap, old->start) : 0;
	     task->pagemap && i < task->pagemap->extent_count && task->pagemap->extents[i].vaddr < old->end; i++) {
		const struct page_extent *extent = &task->pagemap->extents[i];
		uint64_t from = max_u64(extent->vaddr, old->start);
		uint64_t to = min_u64(extent->vaddr + extent->nr_pages * PAGE_BYTES, old->end);
		int fd = extent->source ? pagemap_pages_fd(extent->source, O_RDONLY, err) : -ENODATA, r;

		if (fd < 0)
			return error_set(err, fd, "read its vdso");
		r = pread_all(fd, old->code + (from - old->start), to - from, extent->offset + (from - extent->vaddr));
		if (r < 0)
			return error_set(err, r, "read its vdso");
		have += to - from;
	}
	old->complete = have == bytes;
	return 0;
}

static bool is_same(const struct vdso_image *own, const struct old_vdso *old)
{
	if (!own->code || own->code_bytes != old->end - old->start || own->data_bytes != old->start - old->data_start)
		return false;
	/* Nothing to compare: the layout has to do. */
	return !old->complete || memcmp(own->code, old->code, own->code_bytes) == 0;
}

static bool is_in_old(const struct old_vdso *old, const struct checked_task *task)
{
	for (size_t i = task->leader_has_ended; i < task->thread_count; i++) {
		uint64_t ip = task->threads[i].core->thread_info->gpregs->ip;

		if (ip >= old->start && ip < old->end)
			return true;
	}
	return false;
}

static bool is_free_of_area(const struct restore *r, uint64_t start, uint64_t end)
{
	return start >= r->area->start + r->area->bytes || end <= r->area->start;
}

/*
 * The program has unmapped the data that the kernel puts in front of the code, and it is unmapped again: for a moment
 * it needs the room, which may be anybody's but the restorer's.
 */
static bool is_same_without_data(const struct restore *r, const struct checked_task *task, const struct old_vdso *old)
{
	const struct vdso_image *own = &r->vdso;
	const uint64_t map_at = old->start - own->data_bytes;

	for (size_t i = 0; i < task->mm->n_vmas; i++)
		if (task->mm->vmas[i]->status & VMA_VVAR)
			return false;
	return own->code && old->complete && old->start > own->data_bytes + LOWEST_ADDRESS &&
	       own->code_bytes == old->end - old->start && memcmp(own->code, old->code, own->code_bytes) == 0 &&
	       is_free_of_area(r, map_at, old->end);
}

/*
 * The program has unmapped the code, as valgrind does, but not the data in front of it. What another kernel's code read
 * there is of no use to anybody.
 */
static void plan_data(const struct restore *r, struct restore_task *task, const struct old_vdso *old)
{
	const struct vdso_image *own = &r->vdso;
	const uint64_t end = old->data_end + own->code_bytes;

	if (!own->code || !own->data_bytes || old->data_end - old->data_start != own->data_bytes ||
	    end > VMA_TASK_SIZE || !is_free_of_area(r, old->data_start, end))
		return;
	task->restorer->vdso = VDSO_DATA;
	task->restorer->vdso_map_at = old->data_start;
	task->restorer->vdso_unmap = (struct restorer_range){ old->data_end, end };
}

static int plan_proxy(struct restore *r, struct restore_task *task, const struct vdso_image *own,
		      const struct old_vdso *old, struct error *err)
{
	struct restorer_task *restorer = task->restorer;
	const char *missing = "";
	int result;

	if (!own->code || !old->complete)
		return error_say(err, -EOPNOTSUPP, "its vdso is another kernel's, and %s",
				 own->code ? "the set does not hold its code" : "this kernel has none");
	if (is_in_old(old, task->image))
		return error_say(err, -EOPNOTSUPP, "it was stopped in the vdso of another kernel");
	restorer->vdso = VDSO_PROXY;
	restorer->jumps = area_alloc(r, VDSO_JUMP_LIMIT * sizeof(*restorer->jumps));
	if (!restorer->jumps)
		return error_set(err, -ENOMEM, "vdso");
	result = restore_area_find_hole(r, task->image, own->data_bytes + own->code_bytes, &restorer->vdso_map_at);
	if (result < 0)
		return error_set(err, result, "find room for this kernel's vdso");
	result = plan_jumps(own, old, restorer, restorer->vdso_map_at + own->data_bytes, &missing);
	if (result == -ENOSYS)
		return error_say(err, result, "its vdso has %s, this kernel's does not", missing);
	if (result < 0)
		return error_set(err, result, "connect its vdso to this kernel's");
	log_debug("pid %d: vdso at 0x%llx, %u jumps to the kernel's at 0x%llx\n", task->pid,
		  (unsigned long long)old->start, restorer->jump_count, (unsigned long long)restorer->vdso_map_at);
	return 0;
}

int vdso_plan(struct restore *r, struct restore_task *task, struct error *err)
{
	struct old_vdso old = { 0 };
	int result;

	task->restorer->vdso = VDSO_NONE;
	find_old(task->image, &old);
	if (!old.end) {
		plan_data(r, task, &old);
		return 0;
	}
	result = read_old(task->image, &old, err);
	if (result == 0 && is_same(&r->vdso, &old)) {
		task->restorer->vdso = VDSO_SAME;
		task->restorer->vdso_map_at = old.data_start;
	} else if (result == 0 && is_same_without_data(r, task->image, &old)) {
		task->restorer->vdso = VDSO_SAME;
		task->restorer->vdso_map_at = old.start - r->vdso.data_bytes;
		task->restorer->vdso_unmap = (struct restorer_range){ task->restorer->vdso_map_at, old.start };
	} else if (result == 0) {
		result = plan_proxy(r, task, &r->vdso, &old, err);
	}
	free(old.code);
	if (task->image->pagemap)
		pagemap_close_pages(task->image->pagemap);
	return result;
}

uint64_t vdso_stub_offset(const void *code, uint64_t code_bytes)
{
	const char *bytes = code;

	if (!code || code_bytes < 4 * STUB_BYTES)
		return 0;
	/* Twice the room, so that the last instruction in front of it cannot be part of a longer one. */
	for (unsigned i = 1; i <= 2 * STUB_BYTES; i++)
		if (bytes[code_bytes - i] != 0)
			return 0;
	return code_bytes - STUB_BYTES;
}
