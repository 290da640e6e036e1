/* A backup with a right checksum and any content: refused, or the records of a whole wallet, whose
 * content cut short is refused. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/state_file.h"
#include "wallet/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };

static enum err check(const uint8_t *data, size_t size, struct backup_info *info)
{
    static const struct state_file_kind kind = { "WBAK", 1 };
    struct buf file;
    buf_init(&file);
    state_file_begin(&file, &kind, magic);
    buf_put(&file, data, size);
    state_file_finish(&file);
    enum err rc = backup_check(buf_span(&file), magic, info, NULL);
    buf_clear(&file);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_info info;
    if (check(data, size, &info) != OK)
        return 0;
    if (info.keys > size || check(data, size - 1, &info) == OK)
        abort();
    return 0;
}
