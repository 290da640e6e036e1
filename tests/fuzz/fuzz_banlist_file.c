/* banlist.dat with a right checksum and any content: refused and empty, or taken and stable. */
#include <config.h>

#include <stdlib.h>

#include "base/buf.h"
#include "p2p/banlist.h"
#include "base/state_file.h"

#define NOW INT64_C(1700000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static void check_again(struct banlist *b)
{
    struct banlist *back = banlist_new(64);
    struct ban_entry *list;
    struct buf data;
    buf_init(&data);
    banlist_encode(b, magic, &data);
    state_file_finish(&data);
    if (banlist_decode(back, data.data, data.len, magic, NOW, NULL) != OK ||
        banlist_count(back) != banlist_count(b))
        abort();
    size_t n = banlist_list(back, NOW, &list);
    for (size_t i = 0; i < n; i++)
        if (!banlist_has(b, &list[i].net, NOW) || !banlist_remove(b, &list[i].net))
            abort();
    if (banlist_count(b) != 0)
        abort();
    free(list);
    buf_clear(&data);
    banlist_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct state_file_kind kind = { "BANS", 1 };
    struct banlist *b = banlist_new(64);
    struct buf file;
    buf_init(&file);
    state_file_begin(&file, &kind, magic);
    buf_put(&file, data, size);
    state_file_finish(&file);
    if (banlist_decode(b, file.data, file.len, magic, NOW, NULL) == OK)
        check_again(b);
    else if (banlist_count(b) != 0)
        abort();
    buf_clear(&file);
    banlist_free(b);
    return 0;
}
