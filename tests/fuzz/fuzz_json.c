/* What our pass takes json-c takes too; written and read again it is the same text. */
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
