/* A record of a key store with the checksum put right (a wallet file may come from elsewhere): what
 * is read is written back as the same bytes and does not open under a key it was not sealed with.
 * Input: length of the name (1), name, value without its checksum. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "wallet/key_record.h"
#include "wallet/master_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_read(const struct key_record *r, struct span name, struct span value)
{
    static const uint8_t key[32] = { 1 };
    struct buf again;
    uint8_t secret[KEY_RECORD_SECRET_MAX];
    char text[KEY_RECORD_TEXT_MAX];
    size_t len;
    buf_init(&again);
    key_record_name(&again, r->kind, r->id);
    if (again.len != name.len || memcmp(again.data, name.data, name.len) != 0)
        abort();
    buf_reset(&again);
    key_record_value(&again, r);
    if (again.len != value.len || memcmp(again.data, value.data, value.len) != 0)
        abort();
    buf_clear(&again);
    if (strlen(key_record_text(text, r)) == 0)
        abort();
    if (r->form == KEY_RECORD_SEALED && key_record_unseal(r, key, secret, &len, NULL) == OK)
        abort();
    if (r->kind == KEY_RECORD_CIPHER)
        (void)!master_key_check(r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_record r;
    uint8_t digest[32];
    if (size < 1 || data[0] > size - 1)
        return 0;
    const struct span name = span_of(data + 1, data[0]);
    struct buf value;
    buf_init(&value);
    sha256d(digest, data + 1, size - 1); /* of name and value in a row */
    buf_put(&value, data + 1 + name.len, size - 1 - name.len);
    buf_put(&value, digest, 4);
    if (key_record_read(&r, name, buf_span(&value), NULL) == OK)
        check_read(&r, name, buf_span(&value));
    buf_clear(&value);
    return 0;
}
