/* A file of an identity with a right checksum and any content: refused, or read; what was read is
 * written and read again, and cut short it is refused. */
#include <stdlib.h>

#include "base/ec.h"
#include "base/state_file.h"
#include "wallet/identity_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t magic[4] = { 0xfa, 0xbf, 0xb5, 0xda };
static const struct span no_passphrase = { NULL, 0 };

static enum err read_framed(const uint8_t *data, size_t size, struct identity_file *f)
{
    static const struct state_file_kind kind = { "BCAX", 1 };
    struct buf file;
    buf_init(&file);
    state_file_begin(&file, &kind, magic);
    buf_put(&file, data, size);
    state_file_finish(&file);
    const enum err rc =
        identity_file_read(f, buf_span(&file), magic, BCA_NET_REGTEST, no_passphrase, NULL);
    buf_clear(&file);
    return rc;
}

static void check_again(const struct identity_file *f)
{
    struct identity_file again;
    struct buf file;
    buf_init(&file);
    identity_file_init(&again);
    if (identity_file_write(&file, f, magic, no_passphrase, NULL, NULL) ||
        identity_file_read(&again, buf_span(&file), magic, BCA_NET_REGTEST, no_passphrase, NULL) ||
        again.n != f->n)
        abort();
    identity_file_clear(&again);
    buf_clear(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct identity_file f;
    identity_file_init(&f);
    ec_init();
    if (read_framed(data, size, &f) == OK) {
        check_again(&f);
        identity_file_clear(&f);
        identity_file_init(&f);
        if (read_framed(data, size - 1, &f) == OK)
            abort();
    }
    identity_file_clear(&f);
    return 0;
}
