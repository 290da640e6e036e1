/* What our pass takes json-c takes too, with the same tree but for integers beyond 64 bits, which
 * it clamps; written and read again it is the same text. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "rpc/json_read.h"
#include "rpc/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_value(struct json_object *v, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out, NULL, NULL);
    jw_value(&w, v);
}

static bool has_clamped(struct json_object *v)
{
    if (json_object_get_type(v) == json_type_double)
        return !strpbrk(json_object_get_string(v), ".eE");
    bool found = false;
    if (json_object_get_type(v) == json_type_array)
        for (size_t i = 0; i < json_object_array_length(v) && !found; i++)
            found = has_clamped(json_object_array_get_idx(v, i));
    if (json_object_get_type(v) == json_type_object) {
        json_object_object_foreach(v, name, member) {
            (void)name;
            found = found || has_clamped(member);
        }
    }
    return found;
}

static void compare_with_json_c(const char *text, size_t size, struct json_object *v)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_READ_DEPTH + 1);
    struct json_object *other = json_tokener_parse_ex(tokener, text, (int)size);
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        other = json_tokener_parse_ex(tokener, "", 1);
    if (json_tokener_get_error(tokener) != json_tokener_success)
        abort();
    if (strcmp(json_object_to_json_string(v), json_object_to_json_string(other)) != 0)
        abort();
    json_tokener_free(tokener);
    json_object_put(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *v = NULL, *again = NULL;
    struct buf first, second;
    int64_t amount;
    enum err check = json_check((const char *)data, size, NULL);
    enum err rc = json_read((const char *)data, size, &v, NULL);
    if (check != rc)
        abort();
    if (rc)
        return 0;
    if (!has_clamped(v))
        compare_with_json_c((const char *)data, size, v);
    (void)json_get_amount(v, &amount);
    buf_init(&first);
    buf_init(&second);
    write_value(v, &first);
    if (json_read((const char *)first.data, first.len, &again, NULL))
        abort();
    write_value(again, &second);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    json_object_put(v);
    json_object_put(again);
    buf_clear(&first);
    buf_clear(&second);
    return 0;
}
