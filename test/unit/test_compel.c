/* What of compel needs no task: the journal's layout, and packing objects, damaged ones included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <compel/compel.h>
#include <compel/pack.h>

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void journal_fits(void **state)
{
	const uint32_t tasks = 7, threads = 100;
	size_t bytes = compel_journal_bytes(tasks, threads);
	struct compel_journal *journal = calloc(1, bytes);

	compel_journal_init(journal, tasks, threads);
	assert_int_equal(journal->task_limit, tasks);
	assert_int_equal(journal->thread_limit, threads);
	assert_int_equal(journal->threads_offset % 8, 0);
	assert_true(journal->threads_offset >= (size_t)((char *)&journal->tasks[tasks] - (char *)journal));
	assert_int_equal(journal->threads_offset + threads * sizeof(struct compel_journal_thread), bytes);
	free(journal);
}

static void empty_journal_needs_no_rescue(void **state)
{
	struct compel_journal *journal = calloc(1, compel_journal_bytes(2, 2));

	compel_journal_init(journal, 2, 2);
	assert_int_equal(compel_rescue(journal, NULL), 0);
	free(journal);
}

static void journal_is_taken_and_given_back(void **state)
{
	struct compel_journal *journal = calloc(1, compel_journal_bytes(1, 2));
	struct compel_error err = { 0 };
	struct compel_task *task, *second;

	compel_journal_init(journal, 1, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(compel_task_new(journal, getpid(), &task, &err), 0);
		assert_int_equal(journal->tasks[0].pid, getpid());
		assert_int_equal(compel_task_new(journal, getpid(), &second, &err), -ENOSPC);
		compel_task_free(task);
		assert_int_equal(journal->tasks[0].pid, 0);
	}
	compel_task_free(NULL);
	free(journal);
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

enum { SECTION_NULL, SECTION_TEXT, SECTION_RELA, SECTION_SYMBOLS, SECTION_NAMES, SECTION_COUNT };

struct small_object {
	Elf64_Ehdr header;
	Elf64_Shdr sections[SECTION_COUNT];
	Elf64_Rela relas[2];
	Elf64_Sym symbols[2];
	unsigned char text[24];
	char names[8];
};

/* entry at 4: a relative reference at 8 to entry, an absolute one at 16 to entry + 2. */
static struct small_object make_object(void)
{
	struct small_object o = { 0 };

	memcpy(o.header.e_ident, ELFMAG, SELFMAG);
	o.header.e_ident[EI_CLASS] = ELFCLASS64;
	o.header.e_type = ET_REL;
	o.header.e_machine = EM_X86_64;
	o.header.e_shoff = offsetof(struct small_object, sections);
	o.header.e_shentsize = sizeof(Elf64_Shdr);
	o.header.e_shnum = SECTION_COUNT;
	o.sections[SECTION_TEXT] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS,
						 .sh_flags = SHF_ALLOC,
						 .sh_addralign = 16,
						 .sh_offset = offsetof(struct small_object, text),
						 .sh_size = sizeof(o.text) };
	o.sections[SECTION_RELA] = (Elf64_Shdr){ .sh_type = SHT_RELA,
						 .sh_info = SECTION_TEXT,
						 .sh_link = SECTION_SYMBOLS,
						 .sh_offset = offsetof(struct small_object, relas),
						 .sh_size = sizeof(o.relas) };
	o.sections[SECTION_SYMBOLS] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
						    .sh_link = SECTION_NAMES,
						    .sh_offset = offsetof(struct small_object, symbols),
						    .sh_size = sizeof(o.symbols) };
	o.sections[SECTION_NAMES] = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
						  .sh_offset = offsetof(struct small_object, names),
						  .sh_size = sizeof(o.names) };
	o.relas[0] = (Elf64_Rela){ 8, ELF64_R_INFO(1, R_X86_64_PC32), -4 };
	o.relas[1] = (Elf64_Rela){ 16, ELF64_R_INFO(1, R_X86_64_64), 2 };
	o.symbols[1] = (Elf64_Sym){
		.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = SECTION_TEXT, .st_value = 4
	};
	memcpy(o.names + 1, "entry", 6);
	return o;
}

static int pack(const void *object, size_t bytes, char **ret_text)
{
	struct compel_error err = { 0 };
	size_t text_bytes;
	FILE *out = open_memstream(ret_text, &text_bytes);
	int r = compel_pack(object, bytes, "x", out, &err);

	(void)fclose(out);
	if (r < 0)
		assert_true(err.text[0]);
	return r;
}

static void object_is_packed(void **state)
{
	struct small_object object = make_object();
	char *text;

	assert_int_equal(pack(&object, sizeof(object), &text), 0);
	assert_non_null(strstr(text, "#define x_sym__entry 0x4\n"));
	assert_non_null(strstr(text, "{ 0x10, 6, 8 },"));
	/* 4 - 4 - 8 */
	assert_non_null(strstr(text, "0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0xff, 0xff, 0xff,"));
	free(text);
}

static void undefined_symbol_is_named(void **state)
{
	struct small_object object = make_object();
	struct compel_error err = { 0 };

	object.symbols[1].st_shndx = SHN_UNDEF;
	assert_int_equal(compel_pack(&object, sizeof(object), "x", stderr, &err), -EINVAL);
	assert_non_null(strstr(err.text, "entry"));
}

/* No byte of an object, turned into any of these values, makes packing crash. */
static void damaged_objects_are_survived(void **state)
{
	const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

	for (size_t i = 0; i < sizeof(struct small_object); i++)
		for (size_t v = 0; v < sizeof(values); v++) {
			struct small_object object = make_object();
			char *text;

			((unsigned char *)&object)[i] = values[v];
			(void)pack(&object, sizeof(object), &text);
			free(text);
		}
}

static void short_objects_are_refused(void **state)
{
	const struct small_object object = make_object();

	for (size_t bytes = 0; bytes < sizeof(object); bytes++) {
		char *copy = malloc(bytes ? bytes : 1), *text;

		memcpy(copy, &object, bytes);
		assert_true(pack(copy, bytes, &text) < 0);
		free(copy);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_fits),
		cmocka_unit_test(empty_journal_needs_no_rescue),
		cmocka_unit_test(journal_is_taken_and_given_back),
		cmocka_unit_test(object_is_packed),
		cmocka_unit_test(undefined_symbol_is_named),
		cmocka_unit_test(damaged_objects_are_survived),
		cmocka_unit_test(short_objects_are_refused),
	};

	return cmocka_run_group_tests_name("compel", tests, NULL, NULL);
}
