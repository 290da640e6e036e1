#include "p2p/dchan_successor.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"

static const char tag[] = "bcapeer/successor";

enum { CLOCK_TOLERANCE = 7200 }; /* seconds */

void dchan_successor_read(struct reader *r, struct dchan_successor *s)
{
    read_copy(r, s->old_key, sizeof s->old_key);
    read_copy(r, s->new_key, sizeof s->new_key);
    s->seq = read_be64(r);
    s->issued = read_be32(r);
    read_copy(r, s->old_sig, sizeof s->old_sig);
    read_copy(r, s->new_sig, sizeof s->new_sig);
}

static void write_body(uint8_t out[DCHAN_SUCCESSOR_BODY_SIZE], const struct dchan_successor *s)
{
    memcpy(out, s->old_key, IDENTITY_KEY_SIZE);
    memcpy(out + IDENTITY_KEY_SIZE, s->new_key, IDENTITY_KEY_SIZE);
    be64_put(out + 2 * IDENTITY_KEY_SIZE, s->seq);
    be32_put(out + 2 * IDENTITY_KEY_SIZE + 8, s->issued);
}

void dchan_successor_write(struct buf *b, const struct dchan_successor *s)
{
    write_body(buf_extend(b, DCHAN_SUCCESSOR_BODY_SIZE), s);
    buf_put(b, s->old_sig, sizeof s->old_sig);
    buf_put(b, s->new_sig, sizeof s->new_sig);
}

enum err dchan_successor_sign(struct dchan_successor *s, const struct identity_key *old_key,
                              const struct identity_key *new_key)
{
    uint8_t body[DCHAN_SUCCESSOR_BODY_SIZE];
    const struct span text = span_of(body, sizeof body);
    if (mem_equal_var(old_key->pub, new_key->pub, IDENTITY_KEY_SIZE))
        return ERR_AUTH;
    memcpy(s->old_key, old_key->pub, IDENTITY_KEY_SIZE);
    memcpy(s->new_key, new_key->pub, IDENTITY_KEY_SIZE);
    write_body(body, s);
    return old_key->sign(old_key->ctx, s->old_sig, tag, text) &&
                   new_key->sign(new_key->ctx, s->new_sig, tag, text)
               ? OK
               : ERR_AUTH;
}

bool dchan_successor_verify(const struct dchan_successor *s, uint64_t now)
{
    uint8_t body[DCHAN_SUCCESSOR_BODY_SIZE], digest[32];
    if (s->issued > now + CLOCK_TOLERANCE ||
        mem_equal_var(s->old_key, s->new_key, IDENTITY_KEY_SIZE))
        return false;
    write_body(body, s);
    sha256_tagged(digest, tag, body, sizeof body);
    return ec_verify_rs(s->old_key, s->old_sig, digest) &&
           ec_verify_rs(s->new_key, s->new_sig, digest);
}
