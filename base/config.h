/*
 * Options from the command line and from a file, described by a table of rows. The daemon and the
 * client bring their own tables; syntax and precedence are those of spec rpc 6.2:
 *
 *   -name=value --name=value -name (empty value: true) -noname (= -name=0)
 *   file: name=value, '#' starts a comment, no sections
 *   command line over file; of single options the last on the command line and the first in the
 *   file count; options marked OPTION_MULTI collect all values, command line first
 *
 * Values are checked when they are read, so that getters cannot fail. Filled by one thread, then
 * immutable: any thread reads.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum option_type {
    OPTION_BOOL, /* 0/1, true/false, yes/no, on/off, empty = true, any other number but 0 = true */
    OPTION_INT,
    OPTION_SIZE, /* bytes; plain numbers count `unit`, or a suffix B kB MB GB TB KiB MiB GiB TiB */
    OPTION_AMOUNT, /* coins with at most eight decimals, kept in satoshis */
    OPTION_STRING,
    OPTION_CHOICE, /* one of the words in `arg`, separated by '|' */
};

enum option_flag {
    OPTION_MULTI = 1,    /* may be given several times */
    OPTION_SECRET = 2,   /* never shown */
    OPTION_HIDDEN = 4,   /* in the help for developers only */
    OPTION_IGNORED = 8,  /* known from other nodes, means nothing here: accepted with a warning */
    OPTION_TEXT_SWITCH = 16, /* OPTION_STRING that may be given without a value */
};

struct option_row {
    const char *name;
    enum option_type type;
    unsigned flags;
    const char *def;      /* default, written as a user would; NULL: none (0, false, NULL) */
    int64_t min, max;     /* in bytes, satoshis or units; both 0: not limited, max 0: none */
    uint64_t unit;        /* OPTION_SIZE: bytes a plain number counts; 0 is 1 */
    const char *category; /* heading in the help */
    const char *arg;      /* "<n>", "<path>" ..., or the words of OPTION_CHOICE */
    const char *help;
    const char *alias;    /* further names separated by '|', or NULL */
};

enum option_source { OPTION_FROM_DEFAULT, OPTION_FROM_RULE, OPTION_FROM_FILE, OPTION_FROM_ARGS };

typedef void (*config_warn_fn)(void *ctx, const char *text);

struct config;

/* The rows are borrowed for the life of the config. Unknown file entries and ignored options go to
 * warn; NULL: nobody is told. */
struct config *config_new(const struct option_row *rows, size_t n, config_warn_fn warn, void *ctx);
void config_free(struct config *c);

/*
 * Reads options from argv[1] up to the first operand; *used is that operand's index (argc when
 * there is none). Errors (unknown name, value not allowed) name the option, ERR_PARSE or ERR_RANGE.
 */
enum err config_parse_args(struct config *c, int argc, char *const *argv, int *used,
                           struct error *e) MUST_CHECK;
/* Missing file: ERR_NOTFOUND. Errors name file and line. */
enum err config_parse_file(struct config *c, const char *path, struct error *e) MUST_CHECK;
/* The same for text in memory; `path` names it in messages. */
enum err config_parse_text(struct config *c, const char *path, const char *text, size_t len,
                           struct error *e) MUST_CHECK;

/* Sets a value that follows from other options, unless the user chose one. True when it was set. */
bool config_set_rule(struct config *c, const char *name, const char *value);

/* Getters. The name must be in the table with that type (BUG_ON). */
bool config_bool(const struct config *c, const char *name);
int64_t config_int(const struct config *c, const char *name);
uint64_t config_size(const struct config *c, const char *name);
int64_t config_amount(const struct config *c, const char *name);
const char *config_string(const struct config *c, const char *name); /* NULL when unset */
/* All values in order; returns how many. No values and a default: the default alone. */
size_t config_list(const struct config *c, const char *name, const char *const **values);
enum option_source config_source(const struct config *c, const char *name);
static inline bool config_is_set(const struct config *c, const char *name)
{
    return config_source(c, name) > OPTION_FROM_RULE;
}

/* Calls fn for every value in force that is not a default, in table order; secrets are left out. */
void config_each(const struct config *c,
                 void (*fn)(void *ctx, const char *name, const char *value), void *ctx);

enum config_help { CONFIG_HELP_USER, CONFIG_HELP_ALL };
/* Text for -help, by category in table order, folded at 79 columns. */
void config_help(const struct option_row *rows, size_t n, enum config_help what, struct buf *out);

/* The same as sections of a manual page (".SS category" and tagged paragraphs). */
void config_man(const struct option_row *rows, size_t n, enum config_help what, struct buf *out);

/* Decimal coins ("0.1", "-2") to satoshis; at most eight decimals, no exponent. */
bool amount_parse(const char *text, int64_t *satoshis);

#endif
