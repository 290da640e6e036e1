/*
 * The tree of json-c for a text that json_check has found to be JSON. Its own reader passes over
 * each byte once more, copies strings three times, and asks for the locale at every call. Any
 * thread.
 */
#ifndef RPC_JSON_TREE_H
#define RPC_JSON_TREE_H

#include <stddef.h>

#include "base/err.h"

struct json_object;

/* Numbers keep their source text; null is NULL. ERR_NOMEM. The caller owns *out. */
enum err json_tree_build(const char *text, size_t len, struct json_object **out) MUST_CHECK;
/* Overwrites the strings of a tree that nobody else has: what they said is gone. NULL is fine. */
void json_tree_wipe(struct json_object *v);

#endif
