/* anchors.dat: a count byte and that many 18-byte addresses in the frame of base/state_file.h. */
#include "p2p/anchors.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/state_file.h"

#define ANCHOR_FILE_MAX 4096

static const struct state_file_kind anchors_kind = { "ANCH", 1 };

struct anchors_load {
    const uint8_t *magic;
    struct netaddr *out;
    size_t n;
};

static enum err decode(void *ctx, const void *data, size_t len, struct error *e)
{
    struct anchors_load *load = ctx;
    struct reader r;
    struct netaddr a;
    enum err rc = state_file_open(&r, data, len, &anchors_kind, load->magic, e);
    if (rc)
        return rc;
    size_t n = read_u8(&r);
    if (n > ANCHORS_MAX)
        return error_set(e, ERR_CORRUPT, "more anchors than can be");
    for (size_t i = 0; i < n; i++) {
        netaddr_read(&r, &a);
        load->out[i] = a;
    }
    if (!reader_done(&r))
        return error_set(e, ERR_CORRUPT, "length does not fit the number of anchors");
    load->n = n;
    return OK;
}

size_t anchors_take(const char *path, const uint8_t magic[4], struct netaddr out[ANCHORS_MAX])
{
    struct anchors_load load = { magic, out, 0 };
    struct error e;
    if (state_file_load(path, ANCHOR_FILE_MAX, decode, &load, &e) != OK ||
        path_remove(path, &e) != OK) {
        log_warn("anchors are not used: %s", e.text);
        return 0;
    }
    return load.n;
}

enum err anchors_store(const char *path, const uint8_t magic[4], const struct netaddr *addrs,
                       size_t n, struct error *e)
{
    const struct netaddr *chosen[ANCHORS_MAX];
    struct buf b;
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < ANCHORS_MAX; i++)
        if (netaddr_is_routable(&addrs[i]) && addrs[i].port != 0)
            chosen[kept++] = &addrs[i];
    if (kept == 0)
        return path_remove(path, e);
    buf_init(&b);
    state_file_begin(&b, &anchors_kind, magic);
    buf_put_u8(&b, (uint8_t)kept);
    for (size_t i = 0; i < kept; i++)
        netaddr_write(&b, chosen[i]);
    enum err rc = state_file_commit(path, &b, e);
    buf_clear(&b);
    return rc;
}
