/* An undo record whose coins all read well is written back as the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "chain/undo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False when one of the coins is damaged: records are cut into coins before these are looked at. */
static bool copy_coins(const struct undo_reader *r, struct undo_writer *w)
{
    for (uint64_t i = 0; i < r->count; i++) {
        struct coin c;
        struct error e;
        if (undo_reader_get(r, i, &c, &e))
            return false;
        if (undo_writer_add(w, &c, &e))
            abort();
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf content, again;
    struct undo_reader r;
    struct undo_writer w;
    struct error e;
    buf_init(&content);
    buf_put(&content, data, size);
    if (undo_reader_init(&r, &content, &e))
        return 0;
    undo_writer_init(&w);
    if (copy_coins(&r, &w)) {
        undo_writer_finish(&w, &again);
        if (again.len != size || memcmp(again.data, data, size) != 0)
            abort();
        buf_clear(&again);
    }
    undo_writer_clear(&w);
    undo_reader_clear(&r);
    return 0;
}
