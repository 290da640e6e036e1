/*
 * What all test programs share. Vectors are read in place from the folder BSVPEER_VECTORS
 * (default ../shared/vectors seen from the top of the sources); a test whose file is absent skips.
 */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

struct json_object;

/* Path of a vector file (heap), or NULL when neither it nor its .xz form exists. */
char *vector_path(const char *name);
/* Whole content, unpacked when the file is NAME.xz; calls skip() when absent. */
void vector_read(const char *name, struct buf *out);
/* Parsed JSON (caller puts it with json_object_put); calls skip() when absent. */
struct json_object *vector_json(const char *name);
/*
 * Files directly in a vector folder whose names end in suffix (or suffix.xz), sorted; returns how
 * many (0 when the folder is absent). The names are what vector_read takes: with the folder,
 * without .xz.
 */
size_t vector_list(const char *folder, const char *suffix, char ***names);
void vector_list_free(char **names, size_t n);
/*
 * The block in blocks/ with the height that stands in another vector's name, as vector_read takes
 * it (heap); NULL when there is none: "spv/merkleblock300025.raw" is about
 * "blocks/mainnet_300025_HASH.block".
 */
char *vector_block_of(const char *name);
/* Prints "NAME: n cases" and fails when n is 0: a file that is present must yield cases. */
void vector_report(const char *name, size_t cases);
/* The same for a file whose rows are about several things; skips when none is about this one. */
void vector_report_part(const char *name, size_t rows, size_t cases);

/* Whole content of a file of the sources, named from their top; fails the test when absent. */
void source_read(const char *name, struct buf *out);

/* Decodes hex or fails the test; caller clears. */
struct buf unhex(const char *hex);
/* A fresh empty directory (heap), removed with everything in it by test_dir_remove. */
char *test_dir_make(void);
void test_dir_remove(char *dir);

/* A row of numbers that is the same in each run; the state is not 0 (xorshift64). */
static inline uint64_t test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
