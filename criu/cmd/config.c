/* Splits the lines of a configuration file into option and value. */
#include "cmd/config.h"

#include <errno.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

static char *skip_blanks(char *text)
{
	return text + strspn(text, blanks);
}

/* Ends the word that starts at text and returns what follows it. */
static char *cut_word(char *text)
{
	char *end = text + strcspn(text, blanks);

	if (*end)
		*end++ = '\0';
	return end;
}

/* text is behind the opening quote. Removes the backslashes in place; NULL when the closing quote is missing. */
static char *cut_quoted(char *text)
{
	char *out = text;

	for (; *text && *text != '"'; text++) {
		if (text[0] == '\\' && text[1] == '"')
			text++;
		*out++ = *text;
	}
	if (*text != '"')
		return NULL;
	*out = '\0';
	return text + 1;
}

int config_split_line(char *line, struct config_line *ret, const char **ret_reason)
{
	char *rest;

	line[strcspn(line, "#")] = '\0';
	line = skip_blanks(line);
	if (!*line)
		return 0;
	*ret = (struct config_line){ .name = line };
	rest = skip_blanks(cut_word(line));
	if (!*rest)
		return 1;
	ret->has_value = true;
	if (*rest == '"') {
		ret->value = rest + 1;
		rest = cut_quoted(rest + 1);
		if (!rest) {
			*ret_reason = "the closing quote is missing";
			return -EINVAL;
		}
	} else {
		ret->value = rest;
		rest = cut_word(rest);
	}
	if (*skip_blanks(rest)) {
		*ret_reason = "there is more than one value";
		return -EINVAL;
	}
	return 1;
}
