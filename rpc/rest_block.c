/* Block bodies: read and sent in pieces, so that their size does not matter. */
#include "rpc/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/http_parse.h"

#define PIECE (1u << 20)

/* Sends the bytes from..from+len of the block. */
static enum err send_bytes(struct rest *r, const struct block_pos *pos, uint64_t from, uint64_t len)
{
    size_t size = (size_t)MIN_OF(len, (uint64_t)PIECE);
    uint8_t *piece = xmalloc(size);
    struct error e = { 0 };
    enum err rc = OK;
    for (uint64_t at = from; !rc && at < from + len; at += size) {
        size = (size_t)MIN_OF(from + len - at, (uint64_t)PIECE);
        rc = blockfiles_read(chain_blockfiles(r->env->chain), pos, at, piece, size, &e);
        if (rc) {
            LOG_LIMITED(LOG_WARN, "REST: a block could not be read: %s", e.text);
            break;
        }
        rc = rest_send(r, piece, size);
    }
    free(piece);
    return rc;
}

static void send_binary(struct rest *r, const struct block_pos *pos)
{
    char field[96] = "";
    uint64_t from, len;
    enum http_range range =
        http_range_parse(http_request_field(r->http, "Range"), pos->size, &from, &len);
    if (range == RANGE_UNSATISFIABLE) {
        snprintf(field, sizeof field, "Content-Range: bytes */%llu\r\n",
                 (unsigned long long)pos->size);
        http_reply_start_sized(r->http, 416, NULL, field, 0);
        http_reply_finish(r->http);
        return;
    }
    if (range == RANGE_PART)
        snprintf(field, sizeof field, "Content-Range: bytes %llu-%llu/%llu\r\n",
                 (unsigned long long)from, (unsigned long long)(from + len - 1),
                 (unsigned long long)pos->size);
    http_reply_start_sized(r->http, range == RANGE_PART ? 206 : 200, rest_type_bin, field, len);
    rest_finish(r, send_bytes(r, pos, from, len));
}

void rest_send_block(struct rest *r, const struct header_node *node)
{
    struct header_data d;
    header_index_get_data(chain_headers(r->env->chain), node, &d);
    if (r->q.format == REST_BIN) {
        send_binary(r, &d.data);
        return;
    }
    http_reply_start_sized(r->http, 200, rest_type_hex, NULL, 2 * d.data.size + 1);
    enum err rc = send_bytes(r, &d.data, 0, d.data.size);
    if (!rc)
        rc = http_reply_write(r->http, "\n", 1);
    rest_finish(r, rc);
}
