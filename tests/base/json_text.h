/* Short access to vectors in JSON: what is absent or of another type is NULL or the given value. */
#ifndef TESTS_BASE_JSON_TEXT_H
#define TESTS_BASE_JSON_TEXT_H

#include <json-c/json.h>
#include <stdbool.h>

static inline struct json_object *json_get(struct json_object *o, const char *key)
{
    return json_object_is_type(o, json_type_object) ? json_object_object_get(o, key) : NULL;
}

static inline const char *json_str(struct json_object *o, const char *key)
{
    struct json_object *v = json_get(o, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static inline int64_t json_int(struct json_object *o, const char *key, int64_t absent)
{
    struct json_object *v = json_get(o, key);
    return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : absent;
}

/* The list itself, or the list under "vectors". */
static inline struct json_object *json_rows(struct json_object *o)
{
    struct json_object *rows = json_get(o, "vectors");
    return rows ? rows : o;
}

#endif
