/*
 * A proxy that says anything, in pieces of any size. The first byte chooses the piece size and
 * whether we have a user. What is sent must be one of our own messages in their order.
 */
#include <config.h>

#include <stdlib.h>

#include "base/buf.h"
#include "p2p/netaddr.h"
#include "p2p/socks5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_all(struct socks5 *s, const uint8_t *data, size_t size, size_t piece,
                     struct buf *out)
{
    while (size > 0) {
        size_t n = size < piece ? size : piece, used = SIZE_MAX;
        enum socks5_state before = s->state;
        enum err rc = socks5_feed(s, data, n, &used, out, NULL);
        if (used > n || (rc != OK) != (s->state == SOCKS5_FAILED) || s->state < before)
            abort();
        if (s->state == SOCKS5_DONE || rc != OK)
            return;
        if (used != n) /* only the end leaves bytes behind */
            abort();
        data += used;
        size -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct socks5 s;
    struct buf out;
    if (size == 0)
        return 0;
    buf_init(&out);
    const char *user = data[0] & 0x80 ? "user" : NULL;
    if (socks5_start_name(&s, "seed.example", 8333, user, "password", &out, NULL) != OK)
        abort();
    size_t most = out.len + s.auth_len + s.request_len;
    feed_all(&s, data + 1, size - 1, (data[0] & 0x7f) + 1u, &out);
    if (out.len > most)
        abort();
    socks5_clear(&s);
    buf_clear(&out);
    return 0;
}
