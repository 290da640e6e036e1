/*
 * dsdetected from the bytes to the judgement. A report that holds has two blocks or more and comes
 * to the same result when it is read again; a refused one keeps nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "node/ds_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ds_report first, second;
    struct msg_dsdetected m;
    const char *why;
    if (msg_dsdetected_read(&m, span_of(data, size)) != OK)
        return 0;
    if (!ds_report_read(&first, &m, &why)) {
        if (!why || first.n != 0)
            abort();
        return 0;
    }
    if (first.n < 2 || first.n > DS_BLOCKS_MAX || !ds_report_read(&second, &m, &why) ||
        memcmp(&first.id, &second.id, sizeof(first.id)) != 0)
        abort();
    ds_report_clear(&first);
    ds_report_clear(&second);
    return 0;
}
