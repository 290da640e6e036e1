/*
 * One end of a direct channel on the socket that is standard input, for a test that is the other
 * end in another language:
 *
 *   dchan_peer initiator SECRET THEIR_KEY
 *   dchan_peer responder SECRET
 *   dchan_peer calls SECRET THEIR_KEY
 *   dchan_peer answers SECRET
 *
 * in hexadecimal, on regtest. The last two are whole sessions (dchan_peer_session.h). The others
 * have only the records: the first message has the session_id. From then on it sends back what
 * it gets, but for messages of type 32768, which tell it the time: 4 bytes of seconds that pass.
 * Keys are rotated by that clock. Exit status: 0 after a clean end, 1 cut off, 2 a wrong tag or
 * act, 3 another refusal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/rand.h"
#include "p2p/dchan_rec.h"
#include "tests/p2p/dchan_peer_session.h"

enum {
    TYPE_TIME = 32768,
    CLEAN = DCHAN_PEER_CLEAN, CUT = DCHAN_PEER_CUT,
    SECRETLY_REFUSED = DCHAN_PEER_SECRETLY_REFUSED, REFUSED = DCHAN_PEER_REFUSED,
    USAGE = 64,
};

static uint8_t secret[32];

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    return ec_ecdh_sha256(out, their_key, ctx);
}

static void send_all(struct span out)
{
    while (out.len) {
        const ssize_t n = write(STDIN_FILENO, out.data, out.len);
        if (n <= 0)
            exit(CUT);
        out = span_of(out.data + n, out.len - (size_t)n);
    }
}

/* What arrives next; ends the process at the end. */
static struct span receive(uint8_t *buf, size_t size, int status_at_end)
{
    const ssize_t n = read(STDIN_FILENO, buf, size);
    if (n <= 0)
        exit(status_at_end);
    return span_of(buf, (size_t)n);
}

static struct dchan_keys shake_hands(struct dchan_hs *hs, uint8_t *buf, size_t size,
                                        struct span *in)
{
    struct dchan_keys s;
    uint8_t act[DCHAN_ACT_MAX];
    size_t len = DCHAN_ACT_ONE_SIZE;
    if (hs->role == DCHAN_INITIATOR) {
        if (dchan_hs_start(hs, act))
            exit(REFUSED);
        send_all(span_of(act, len));
    }
    while (!dchan_hs_done(hs)) {
        if (!in->len)
            *in = receive(buf, size, CUT);
        if (dchan_hs_feed(hs, in, act, &len))
            exit(SECRETLY_REFUSED);
        send_all(span_of(act, len));
    }
    dchan_hs_take(hs, &s);
    return s;
}

static void flush(struct dchan_rec *rec)
{
    const struct span out = dchan_rec_output(rec);
    send_all(out);
    dchan_rec_written(rec, out.len);
}

static void put(struct dchan_rec *rec, struct span msg, uint64_t now_ms)
{
    if (dchan_rec_put(rec, msg, span_of(NULL, 0), now_ms))
        exit(REFUSED);
}

/* Says why, as the protocol wants it. */
static void refuse(struct dchan_rec *rec, enum err rc, uint64_t now_ms)
{
    const uint8_t msg[] = { 0, DCHAN_ERROR, 0, (uint8_t)dchan_rec_error(rec), 0, 0 };
    if (rc == ERR_AUTH)
        exit(SECRETLY_REFUSED);
    if (dchan_rec_error(rec))
        put(rec, span_of(msg, sizeof msg), now_ms);
    flush(rec);
    exit(REFUSED);
}

static void take(struct dchan_rec *rec, struct span msg, uint64_t *now_ms)
{
    const uint16_t type = be16_get(msg.data);
    if (type == DCHAN_BYE)
        return;
    if (type != TYPE_TIME || msg.len != 6) {
        put(rec, msg, *now_ms);
        return;
    }
    *now_ms += UINT64_C(1000) * be32_get(msg.data + 2);
    const enum err rc = dchan_rec_tick(rec, *now_ms);
    if (rc)
        refuse(rec, rc, *now_ms);
}

static void talk(struct dchan_rec *rec, uint8_t *buf, size_t size, struct span in)
{
    uint64_t now_ms = 0;
    for (;;) {
        struct span msg;
        const enum err rc = dchan_rec_read(rec, &in, now_ms, &msg);
        if (rc)
            refuse(rec, rc, now_ms);
        if (msg.len)
            take(rec, msg, &now_ms);
        flush(rec);
        if (!msg.len)
            in = receive(buf, size, dchan_rec_clean_end(rec) ? CLEAN : CUT);
    }
}

static bool decode(uint8_t *out, size_t size, const char *hex)
{
    size_t len;
    return hex_decode(out, size, hex, strlen(hex), &len) && len == size;
}

int main(int argc, char **argv)
{
    static const uint8_t magic[4] = { 0xda, 0xb5, 0xbf, 0xfa };
    static uint8_t buf[5000];
    uint8_t prologue[DCHAN_PROLOGUE_SIZE], their_key[IDENTITY_KEY_SIZE] = { 0 };
    uint8_t id[2 + 32] = { 0x80 };
    struct identity_key key = { .noise_dh = noise_dh, .ctx = secret };
    const bool whole = argc > 1 && (!strcmp(argv[1], "calls") || !strcmp(argv[1], "answers"));
    const bool initiator =
        argc == 4 && (!strcmp(argv[1], "initiator") || !strcmp(argv[1], "calls"));
    struct span in = span_of(buf, 0);
    struct dchan_hs hs;
    ec_init();
    if ((!initiator &&
         (argc != 3 || (strcmp(argv[1], "responder") && strcmp(argv[1], "answers")))) ||
        !decode(secret, sizeof secret, argv[2]) || !ec_pubkey_of(key.pub, secret) ||
        (initiator && !decode(their_key, sizeof their_key, argv[3]))) {
        fprintf(stderr, "usage: dchan_peer initiator|calls SECRET THEIR_KEY | "
                        "responder|answers SECRET\n");
        return USAGE;
    }
    const enum dchan_role role = initiator ? DCHAN_INITIATOR : DCHAN_RESPONDER;
    if (whole)
        return (int)dchan_peer_session(role, magic, &key, initiator ? their_key : NULL);
    dchan_prologue(prologue, magic);
    if (dchan_hs_init(&hs, &(struct dchan_hs_config){
            role, span_of(prologue, sizeof prologue), &key, their_key, NULL }))
        return USAGE;
    struct dchan_keys s = shake_hands(&hs, buf, sizeof buf, &in);
    struct dchan_rec *rec = dchan_rec_new(role, &s, 0);
    dchan_rec_allow(rec, DCHAN_REKEYS_BY_DH, 0);
    id[1] = 2; /* a private type */
    memcpy(id + 2, s.session_id, 32);
    put(rec, span_of(id, sizeof id), 0);
    dchan_keys_wipe(&s);
    talk(rec, buf, sizeof buf, in);
}
