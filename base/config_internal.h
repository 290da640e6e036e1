/* Shared by config.c (names, files, what was given) and config_value.c (values). Pure functions. */
#ifndef BASE_CONFIG_INTERNAL_H
#define BASE_CONFIG_INTERNAL_H

#include "base/config.h"

/* Is name one of the words in list, which '|' separates? */
bool option_word_in_list(const char *list, const char *name);
/* "false", "on", "0", "" (true) and the like; false: it is none of them. */
bool option_bool(const char *text, bool *out);
/* The number behind the text of a bool, int, size or amount; false: it is none. */
bool option_number(const struct option_row *row, const char *text, int64_t *out);
/* Whether a text is a value that the row allows; the error says what is. */
enum err option_check(const struct option_row *row, const char *text, struct error *e) MUST_CHECK;

#endif
