/*
 * A relocatable x86-64 ELF object as a C header. All of the object's allocated sections are laid out one behind the
 * other; references between them that are relative are resolved here, absolute ones are listed for whoever knows the
 * address. The object is input from a stranger: every offset and index is checked against its size.
 */
#include "internal.h"

#include <compel/pack.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SECTIONS 4096
#define MAX_IMAGE    (64UL << 20)

struct absolute {
	uint64_t offset;
	int64_t addend;
	unsigned int bytes;
};

struct object {
	const char *data;
	size_t bytes;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;
	uint64_t *section_at; /* offset in the image, ~0 where the section is not in it */
	unsigned char *image;
	size_t image_bytes;
	struct absolute *absolutes;
	size_t absolute_count;
	const Elf64_Sym *symbols;
	size_t symbol_count;
	const char *names;
	size_t name_bytes;
};

#define NOWHERE (~0ULL)

static bool is_inside(const struct object *o, uint64_t offset, uint64_t bytes)
{
	return offset <= o->bytes && bytes <= o->bytes - offset;
}

static int open_object(struct object *o, struct compel_error *err)
{
	const Elf64_Ehdr *header = (const void *)o->data;

	if (o->bytes < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return fail_say(err, -EINVAL, "not an ELF file");
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 || header->e_type != ET_REL)
		return fail_say(err, -EINVAL, "not a relocatable object for x86-64");
	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shnum == 0 || header->e_shnum > MAX_SECTIONS ||
	    header->e_shoff % 8 || !is_inside(o, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr)))
		return fail_say(err, -EINVAL, "damaged section table");
	o->header = header;
	o->sections = (const void *)(o->data + header->e_shoff);
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *s = &o->sections[i];
		bool is_table = s->sh_type == SHT_SYMTAB || s->sh_type == SHT_RELA;

		if (s->sh_type == SHT_NOBITS || s->sh_type == SHT_NULL)
			continue;
		if (!is_inside(o, s->sh_offset, s->sh_size) || (is_table && s->sh_offset % 8))
			return fail_say(err, -EINVAL, "section %u lies outside of the file", i);
	}
	return 0;
}

static int lay_out(struct object *o, struct compel_error *err)
{
	uint64_t at = 0;

	o->section_at = calloc(o->header->e_shnum, sizeof(o->section_at[0]));
	if (!o->section_at)
		return fail(err, -ENOMEM, "cannot lay the image out");
	for (unsigned int i = 0; i < o->header->e_shnum; i++) {
		const Elf64_Shdr *s = &o->sections[i];
		uint64_t align = s->sh_addralign ? s->sh_addralign : 1;

		o->section_at[i] = NOWHERE;
		if (!(s->sh_flags & SHF_ALLOC) || (s->sh_type != SHT_PROGBITS && s->sh_type != SHT_NOBITS))
			continue;
		if (align > COMPEL_PAGE_BYTES || (align & (align - 1)) || s->sh_size > MAX_IMAGE || at > MAX_IMAGE)
			return fail_say(err, -EINVAL, "section %u is too large or aligned in an odd way", i);
		at = (at + align - 1) & ~(align - 1);
		o->section_at[i] = at;
		at += s->sh_size;
	}
	if (at == 0)
		return fail_say(err, -EINVAL, "the object holds no code");
	o->image_bytes = at;
	o->image = calloc(1, at + 8);
	if (!o->image)
		return fail(err, -ENOMEM, "cannot lay the image out");
	for (unsigned int i = 0; i < o->header->e_shnum; i++)
		if (o->section_at[i] != NOWHERE && o->sections[i].sh_type == SHT_PROGBITS)
			memcpy(o->image + o->section_at[i], o->data + o->sections[i].sh_offset, o->sections[i].sh_size);
	return 0;
}

static int find_symbols(struct object *o, struct compel_error *err)
{
	for (unsigned int i = 0; i < o->header->e_shnum; i++) {
		const Elf64_Shdr *s = &o->sections[i], *names;

		if (s->sh_type != SHT_SYMTAB)
			continue;
		if (s->sh_link >= o->header->e_shnum || o->sections[s->sh_link].sh_type != SHT_STRTAB)
			return fail_say(err, -EINVAL, "damaged symbol table");
		names = &o->sections[s->sh_link];
		if (names->sh_size == 0 || o->data[names->sh_offset + names->sh_size - 1])
			return fail_say(err, -EINVAL, "damaged symbol names");
		o->symbols = (const void *)(o->data + s->sh_offset);
		o->symbol_count = s->sh_size / sizeof(Elf64_Sym);
		o->names = o->data + names->sh_offset;
		o->name_bytes = names->sh_size;
		return 0;
	}
	return fail_say(err, -EINVAL, "the object has no symbol table");
}

static const char *symbol_name(const struct object *o, const Elf64_Sym *symbol)
{
	return symbol->st_name < o->name_bytes ? o->names + symbol->st_name : "?";
}

/* false: not defined in the image. */
static bool symbol_offset(const struct object *o, const Elf64_Sym *symbol, uint64_t *ret_offset)
{
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= o->header->e_shnum ||
	    o->section_at[symbol->st_shndx] == NOWHERE)
		return false;
	*ret_offset = o->section_at[symbol->st_shndx] + symbol->st_value;
	return true;
}

static int add_absolute(struct object *o, uint64_t offset, int64_t addend, unsigned int bytes)
{
	struct absolute *more = reallocarray(o->absolutes, o->absolute_count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	o->absolutes = more;
	more[o->absolute_count++] = (struct absolute){ offset, addend, bytes };
	return 0;
}

static int relocate(struct object *o, uint64_t base, uint64_t limit, const Elf64_Rela *rela, struct compel_error *err)
{
	uint64_t index = ELF64_R_SYM(rela->r_info), target, place = base + rela->r_offset;
	unsigned int type = (unsigned int)ELF64_R_TYPE(rela->r_info);
	unsigned int bytes = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
	int64_t value, distance;

	if (type == R_X86_64_NONE)
		return 0;
	if (index >= o->symbol_count || rela->r_offset > limit || limit - rela->r_offset < bytes)
		return fail_say(err, -EINVAL, "damaged relocation");
	if (!symbol_offset(o, &o->symbols[index], &target))
		return fail_say(err, -EINVAL, "symbol %s is not defined", symbol_name(o, &o->symbols[index]));
	value = (int64_t)(target + (uint64_t)rela->r_addend);
	switch (type) {
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
	case R_X86_64_PC64:
		distance = (int64_t)((uint64_t)value - place);
		if (bytes == 4 && distance != (int32_t)distance)
			return fail_say(err, -ERANGE, "symbol %s is too far away", symbol_name(o, &o->symbols[index]));
		memcpy(o->image + place, &distance, bytes);
		return 0;
	case R_X86_64_64:
	case R_X86_64_32:
	case R_X86_64_32S:
		return add_absolute(o, place, value, bytes) < 0 ? fail(err, -ENOMEM, "cannot list relocations") : 0;
	default:
		return fail_say(err, -ENOTSUP, "relocation type %u (symbol %s) cannot be resolved here", type,
				symbol_name(o, &o->symbols[index]));
	}
}

static int relocate_all(struct object *o, struct compel_error *err)
{
	for (unsigned int i = 0; i < o->header->e_shnum; i++) {
		const Elf64_Shdr *s = &o->sections[i];
		const Elf64_Rela *relas;

		if (s->sh_type != SHT_RELA || s->sh_info >= o->header->e_shnum || o->section_at[s->sh_info] == NOWHERE)
			continue;
		relas = (const void *)(o->data + s->sh_offset);
		for (size_t n = 0; n < s->sh_size / sizeof(*relas); n++) {
			int r = relocate(o, o->section_at[s->sh_info], o->sections[s->sh_info].sh_size, &relas[n], err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void write_header(const struct object *o, const char *prefix, FILE *out)
{
	(void)fprintf(out, "/* Generated by compel hgen. */\n#pragma once\n\n");
	for (size_t i = 0; i < o->symbol_count; i++) {
		const Elf64_Sym *symbol = &o->symbols[i];
		uint64_t offset;

		if (ELF64_ST_BIND(symbol->st_info) == STB_GLOBAL && symbol_offset(o, symbol, &offset))
			(void)fprintf(out, "#define %s_sym__%s 0x%lx\n", prefix, symbol_name(o, symbol), offset);
	}
	(void)fprintf(out,
		      "\nstatic const struct {\n\tunsigned long offset;\n\tlong addend;\n\tunsigned int bytes;\n"
		      "} %s_relocs[] __attribute__((unused)) = {\n",
		      prefix);
	for (size_t i = 0; i < o->absolute_count; i++)
		(void)fprintf(out, "\t{ 0x%lx, %ld, %u },\n", o->absolutes[i].offset, o->absolutes[i].addend,
			      o->absolutes[i].bytes);
	(void)fprintf(out, "};\n#define %s_reloc_count %zu\n", prefix, o->absolute_count);
	(void)fprintf(out, "\nstatic const unsigned char %s_blob[] __attribute__((aligned(16), unused)) = {", prefix);
	for (size_t i = 0; i < o->image_bytes; i++)
		(void)fprintf(out, "%s0x%02x,", i % 16 ? " " : "\n\t", o->image[i]);
	(void)fprintf(out, "\n};\n");
}

int compel_pack(const void *object, size_t bytes, const char *prefix, FILE *out, struct compel_error *err)
{
	struct object o = { .data = object, .bytes = bytes };
	int r;

	r = open_object(&o, err);
	if (r == 0)
		r = lay_out(&o, err);
	if (r == 0)
		r = find_symbols(&o, err);
	if (r == 0)
		r = relocate_all(&o, err);
	if (r == 0) {
		write_header(&o, prefix, out);
		if (ferror(out))
			r = fail(err, -EIO, "cannot write the header");
	}
	free(o.section_at);
	free(o.image);
	free(o.absolutes);
	return r;
}
