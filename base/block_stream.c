/*
 * Each state is a field of one of three kinds: a compact size, a run of bytes that only the hash
 * needs, or the header, which is collected. Bytes of a transaction are hashed in the longest pieces
 * there are, once at its end and once at the end of each fed piece, not field by field.
 */
#include "base/block_stream.h"

#include "base/intmath.h"

enum field_kind { FIELD_SKIP, FIELD_COMPACT, FIELD_HEADER, FIELD_NONE };

static const struct {
    uint8_t kind; /* enum field_kind */
    uint8_t size; /* of a FIELD_SKIP; 0: given by the compact size before */
} fields[] = {
    [BS_HEADER] = { FIELD_HEADER, 0 },
    [BS_TX_COUNT] = { FIELD_COMPACT, 0 },
    [BS_TX_VERSION] = { FIELD_SKIP, 4 },
    [BS_IN_COUNT] = { FIELD_COMPACT, 0 },
    [BS_IN_PREVOUT] = { FIELD_SKIP, 36 },
    [BS_IN_SCRIPT_LEN] = { FIELD_COMPACT, 0 },
    [BS_IN_SCRIPT] = { FIELD_SKIP, 0 },
    [BS_IN_SEQUENCE] = { FIELD_SKIP, 4 },
    [BS_OUT_COUNT] = { FIELD_COMPACT, 0 },
    [BS_OUT_VALUE] = { FIELD_SKIP, 8 },
    [BS_OUT_SCRIPT_LEN] = { FIELD_COMPACT, 0 },
    [BS_OUT_SCRIPT] = { FIELD_SKIP, 0 },
    [BS_LOCK_TIME] = { FIELD_SKIP, 4 },
    [BS_DONE] = { FIELD_NONE, 0 },
    [BS_FAILED] = { FIELD_NONE, 0 },
};
_Static_assert(COUNT_OF(fields) == BS_FAILED + 1, "one field for each state");

/* The piece that is being fed. */
struct piece {
    const uint8_t *start, *p, *end;
    const uint8_t *unhashed; /* of the current transaction */
};

static void enter(struct block_stream *s, enum block_stream_state state)
{
    s->state = state;
    s->want = fields[state].size;
    s->field_len = 0;
}

void block_stream_init(struct block_stream *s)
{
    memset(s, 0, sizeof *s);
    merkle_init(&s->merkle);
    enter(s, BS_HEADER);
}

static uint64_t position(const struct block_stream *s, const struct piece *in)
{
    return s->bytes + (uint64_t)(in->p - in->start);
}

static void begin_tx(struct block_stream *s, struct piece *in)
{
    s->tx_offset = position(s, in);
    in->unhashed = in->p;
    sha256_init(&s->tx_hash);
    enter(s, BS_TX_VERSION);
}

static void end_tx(struct block_stream *s, struct piece *in)
{
    struct txid id;
    sha256_update(&s->tx_hash, in->unhashed, (size_t)(in->p - in->unhashed));
    sha256d_final(&s->tx_hash, id.b);
    merkle_add(&s->merkle, id.b);
    s->txs_done++;
    if (s->on_tx)
        s->on_tx(s->ctx, &id, s->tx_offset, position(s, in) - s->tx_offset);
    if (s->txs_done < s->tx_count)
        begin_tx(s, in);
    else
        enter(s, BS_DONE);
}

/* After the last byte of a field; value is that of a compact size. */
static void field_done(struct block_stream *s, struct piece *in, uint64_t value)
{
    switch (s->state) {
    case BS_TX_COUNT:
        s->tx_count = value;
        if (value)
            begin_tx(s, in);
        else
            enter(s, BS_DONE);
        break;
    case BS_IN_COUNT:
        s->ins_left = value;
        enter(s, value ? BS_IN_PREVOUT : BS_OUT_COUNT);
        break;
    case BS_OUT_COUNT:
        s->outs_left = value;
        enter(s, value ? BS_OUT_VALUE : BS_LOCK_TIME);
        break;
    case BS_IN_SCRIPT_LEN:
    case BS_OUT_SCRIPT_LEN:
        enter(s, s->state + 1);
        s->want = value;
        break;
    case BS_IN_SEQUENCE:
        s->inputs_done++;
        enter(s, --s->ins_left ? BS_IN_PREVOUT : BS_OUT_COUNT);
        break;
    case BS_OUT_SCRIPT:
        s->outputs_done++;
        enter(s, --s->outs_left ? BS_OUT_VALUE : BS_LOCK_TIME);
        break;
    case BS_LOCK_TIME:
        end_tx(s, in);
        break;
    case BS_HEADER:
    case BS_TX_VERSION:
    case BS_IN_PREVOUT:
    case BS_IN_SCRIPT:
    case BS_OUT_VALUE:
        enter(s, s->state + 1);
        break;
    case BS_DONE:
    case BS_FAILED:
        break;
    }
}

static void step_skip(struct block_stream *s, struct piece *in)
{
    uint64_t n = MIN_OF(s->want, (uint64_t)(in->end - in->p));
    in->p += n;
    s->want -= n;
    if (!s->want)
        field_done(s, in, 0);
}

/* Takes bytes until the field has size of them; true when it has. */
static bool collect(struct block_stream *s, struct piece *in, unsigned size)
{
    size_t n = MIN_OF((size_t)(size - s->field_len), (size_t)(in->end - in->p));
    memcpy(s->field + s->field_len, in->p, n);
    s->field_len += (unsigned)n;
    in->p += n;
    return s->field_len == size;
}

static void step_compact(struct block_stream *s, struct piece *in)
{
    if (s->field_len == 0 && *in->p < 0xfd) { /* nearly all of them */
        field_done(s, in, *in->p++);
        return;
    }
    if (s->field_len == 0)
        collect(s, in, 1);
    if (!collect(s, in, 1 + (1u << (s->field[0] - 0xfc))))
        return;
    struct reader r;
    reader_init(&r, s->field, s->field_len);
    uint64_t value = read_compact(&r);
    if (r.failed)
        enter(s, BS_FAILED);
    else
        field_done(s, in, value);
}

static void step_header(struct block_stream *s, struct piece *in)
{
    if (!collect(s, in, BLOCK_HEADER_SIZE))
        return;
    struct reader r;
    reader_init(&r, s->field, BLOCK_HEADER_SIZE);
    block_header_read(&r, &s->header);
    field_done(s, in, 0);
}

/* One field or what the piece has of it. False when the bytes are at an end or no block. */
static bool step(struct block_stream *s, struct piece *in)
{
    enum field_kind kind = (enum field_kind)fields[s->state].kind;
    /* An empty script ends with its length, not with the next byte. */
    if (in->p == in->end && !(kind == FIELD_SKIP && s->want == 0))
        return false;
    switch (kind) {
    case FIELD_SKIP:
        step_skip(s, in);
        return true;
    case FIELD_COMPACT:
        step_compact(s, in);
        return true;
    case FIELD_HEADER:
        step_header(s, in);
        return true;
    case FIELD_NONE:
        enter(s, BS_FAILED); /* bytes after the end */
        return false;
    }
    return false;
}

enum err block_stream_feed(struct block_stream *s, const void *data, size_t len)
{
    if (s->state == BS_FAILED)
        return ERR_PARSE;
    if (!len)
        return OK;
    const uint8_t *p = (const uint8_t *)data;
    struct piece in = { .start = p, .p = p, .end = p + len, .unhashed = p };
    while (step(s, &in)) {
    }
    if (s->state > BS_TX_COUNT && s->state < BS_DONE)
        sha256_update(&s->tx_hash, in.unhashed, (size_t)(in.p - in.unhashed));
    s->bytes = position(s, &in);
    return s->state == BS_FAILED ? ERR_PARSE : OK;
}
