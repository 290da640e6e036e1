/*
 * One stream between two cores of direct channels, for contrib/bench: sockets on loopback,
 * handshake, records, streams with their windows, a thread on each side, and nothing else. The
 * source copies what it sends out of a block of memory, as the bare loop of bench_records does; the
 * sink takes what comes at once and counts it.
 *
 * usage: bench_stream BYTES [padded]     prints one line of JSON
 */
#include <config.h>

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/intmath.h"
#include "base/kv.h"
#include "contrib/bench_loop.h"
#include "p2p/channels.h"

#define SERVICE "numbers"
#define BLOCK 16384

struct side {
    uint8_t secret[32];
    struct channel_identity identity;
    struct bca_policy proof;
    struct channels_ops ops;
    struct dchan_store *store;
    struct contacts *contacts;
    struct channels *channels;
    struct chan_peer *peer; /* the other one, once it is up */
    struct dchan_mux *mux;  /* of the stream */
    uint32_t sid;
    uint64_t bytes;         /* source: that are left; sink: that came */
    sem_t up, ended;
};

static void check(bool ok, const char *text)
{
    if (!ok)
        die(text);
}

/* --- an identity --- */

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    const struct side *s = ctx;
    return ec_ecdh_sha256(out, their_key, s->secret);
}

/* Bare keys prove nothing. */
static bool sign(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text)
{
    (void)ctx;
    (void)sig;
    (void)tag;
    (void)text;
    return false;
}

static void identity_init(struct side *s, uint8_t byte)
{
    s->identity = (struct channel_identity){
        .key = { .noise_dh = noise_dh, .sign = sign, .ctx = s }, .name = "bench", .refs = 2
    };
    memset(s->secret, byte, sizeof s->secret);
    check(ec_pubkey_of(s->identity.key.pub, s->secret), "no key");
}

/* --- the source --- */

static size_t pull(void *ctx, uint8_t *out, size_t max, bool *end)
{
    static const uint8_t block[BLOCK];
    struct side *s = ctx;
    const size_t n = (size_t)MIN_OF(s->bytes, (uint64_t)MIN_OF(max, sizeof block));
    memcpy(out, block, n);
    s->bytes -= n;
    *end = s->bytes == 0;
    return n;
}

static void take_nothing(void *ctx, struct span data)
{
    (void)ctx;
    (void)data;
    die("the sink has sent data");
}

static void fin(void *ctx)
{
    (void)ctx;
}

static void closed(void *ctx, unsigned code)
{
    struct side *s = ctx;
    check(code == 0, "the stream broke off");
    sem_post(&s->ended);
}

static const struct dchan_stream_ops source_ops = { .data = take_nothing, .fin = fin, .pull = pull,
                                                    .closed = closed };

static bool on_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                    const struct dchan_s_open *m)
{
    struct side *s = part;
    (void)p;
    const uint32_t sid = m->sid;
    check(dchan_mux_accept(mux, sid, &source_ops, s, channels_now(s->channels)) == OK,
          "the stream was not accepted");
    dchan_mux_wake(mux, sid);
    return true;
}

/* --- the sink --- */

static void take(void *ctx, struct span data)
{
    struct side *s = ctx;
    s->bytes += data.len;
    dchan_mux_consumed(s->mux, s->sid, data.len, channels_now(s->channels));
}

static size_t pull_nothing(void *ctx, uint8_t *out, size_t max, bool *end)
{
    (void)ctx;
    (void)out;
    (void)max;
    *end = true;
    return 0;
}

static const struct dchan_stream_ops sink_ops = { .data = take, .fin = fin, .pull = pull_nothing,
                                                  .closed = closed };

static void open_stream(struct channels *c, void *ctx)
{
    struct side *s = ctx;
    const struct dchan_open o = { .service = span_of(SERVICE, sizeof SERVICE - 1), .priority = 3 };
    s->mux = chan_peer_mux(s->peer);
    check(dchan_mux_open(s->mux, &o, &sink_ops, s, channels_now(c), &s->sid) == OK,
          "the stream could not be opened");
    dchan_mux_wake(s->mux, s->sid);
    chan_peer_kick(s->peer);
}

/* --- the two cores --- */

static int32_t height(void *ctx)
{
    (void)ctx;
    return 1;
}

static void on_up(void *part, struct chan_peer *p)
{
    struct side *s = part;
    s->peer = p;
    sem_post(&s->up);
}

static void side_start(struct side *s, uint8_t byte, bool listen, bool padded)
{
    static const char *const here[] = { "[::1]:0" };
    const struct channels_config config = {
        .magic = { 0xda, 0xb5, 0xbf, 0xfa }, .regtest = true, .listen = listen, .bind = { here, 1 },
        .agent = "bench", .padded = padded
    };
    struct channel_identity *id = &s->identity;
    identity_init(s, byte);
    sem_init(&s->up, 0, 0);
    sem_init(&s->ended, 0, 0);
    s->proof = (struct bca_policy){ .rules = bca_rules_get(BCA_NET_REGTEST) };
    s->ops = (struct channels_ops){ .proof = &s->proof, .height = height };
    check(!dchan_store_new(&s->store, kv_open_mem(), NULL, NULL, NULL) &&
              !contacts_open(&s->contacts, s->store, NULL) &&
              !channels_new(&s->channels, &config, &s->ops, s->store, s->contacts, NULL),
          "no channels");
    channels_set_identities(s->channels, &id, 1);
    channels_add_part(s->channels, &(struct channel_part){
        .features = { .offered = 1u << DCHAN_STREAMS }, .up = on_up, .open = on_open, .ctx = s });
    check(channels_start(s->channels, NULL) == OK, "the channels did not start");
}

struct meeting { struct contact contact, *made; bool dials; };

static void meet(struct channels *c, void *ctx)
{
    struct meeting *m = ctx;
    check(!contacts_add(channels_contacts(c), &m->contact, NULL, NULL, &m->made, NULL),
          "no contact");
    channels_contact_changed(c, m->contact.key);
    if (m->dials)
        chan_peer_dial(channels_peer_of(c, m->made), true);
}

static void side_meet(struct side *s, const struct side *other, bool dials)
{
    struct meeting m = { .contact = { .has_key = true, .n_addresses = 1, .alias = "other" },
                         .dials = dials };
    memcpy(m.contact.key, other->identity.key.pub, sizeof m.contact.key);
    m.contact.addresses[0].address[BCA_ADDRESS_SIZE - 1] = 1;
    m.contact.addresses[0].port = channels_port(other->channels);
    m.contact.policy.bare = true;
    check(channels_call(s->channels, meet, &m), "the channels have ended");
}

static void side_stop(struct side *s)
{
    channels_stop(s->channels);
    dchan_store_free(s->store);
    channels_free(s->channels);
    contacts_free(s->contacts);
}

int main(int argc, char **argv)
{
    static struct side source, sink;
    uint64_t bytes;
    const bool padded = argc == 3 && !strcmp(argv[2], "padded");
    if (argc != 2 + padded || !(bytes = strtoull(argv[1], NULL, 10)))
        die("usage: bench_stream BYTES [padded]");
    ec_init();
    source.bytes = bytes;
    side_start(&source, 0x11, true, padded);
    side_start(&sink, 0x21, false, padded);
    side_meet(&source, &sink, false);
    side_meet(&sink, &source, true);
    sem_wait(&source.up);
    sem_wait(&sink.up);
    const double start = seconds_of(CLOCK_MONOTONIC), cpu = cpu_seconds();
    check(channels_call(sink.channels, open_stream, &sink), "the channels have ended");
    sem_wait(&sink.ended);
    const double seconds = seconds_of(CLOCK_MONOTONIC) - start;
    check(sink.bytes == bytes, "bytes are missing");
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", (unsigned long long)bytes, seconds,
           cpu_seconds() - cpu);
    side_stop(&sink);
    side_stop(&source);
    return EXIT_SUCCESS;
}
