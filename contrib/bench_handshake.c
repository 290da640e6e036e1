/*
 * Handshakes of direct channels, for contrib/bench: the responder's side of acts 1 to 3 with reads
 * and writes on an open socket, beside the curve operations that it cannot do without: three key
 * agreements, one new key, two points that are decoded. Times are those of the responder's thread.
 *
 * usage: bench_handshake MS     runs each loop for so long; prints one line of JSON
 */
#include <config.h>

#include <pthread.h>
#include <sched.h>
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ec.h"
#include "base/rand.h"
#include "contrib/bench_loop.h"
#include "p2p/dchan_hs.h"

#define KEYS 512 /* more than any cache of parsed keys holds */

struct side {
    int fd;
    uint8_t secret[32];
    struct identity_key key;
    const uint8_t *remote_key; /* initiator */
};

static bool noise_dh(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE])
{
    return ec_ecdh_sha256(out, their_key, ctx);
}

static void side_init(struct side *s, int fd, uint8_t byte)
{
    *s = (struct side){ .fd = fd };
    memset(s->secret, byte, sizeof s->secret);
    if (!ec_pubkey_of(s->key.pub, s->secret))
        die("no key");
    s->key.noise_dh = noise_dh;
    s->key.ctx = s->secret;
}

static bool read_all(int fd, uint8_t *out, size_t n)
{
    for (size_t got = 0; got < n;) {
        const ssize_t more = read(fd, out + got, n - got);
        if (more <= 0)
            return false;
        got += (size_t)more;
    }
    return true;
}

static void write_all(int fd, const uint8_t *data, size_t n)
{
    if (write(fd, data, n) != (ssize_t)n)
        die("the socket refused an act");
}

static void begin(struct dchan_hs *hs, const struct side *s, enum dchan_role role)
{
    uint8_t prologue[DCHAN_PROLOGUE_SIZE];
    dchan_prologue(prologue, (const uint8_t *)"\xda\xb5\xbf\xfa");
    const struct dchan_hs_config c = { .role = role, .prologue = span_of(prologue, sizeof prologue),
                                       .key = &s->key, .remote_key = s->remote_key };
    if (dchan_hs_init(hs, &c))
        die("no handshake");
}

static bool finish(struct dchan_hs *hs)
{
    struct dchan_keys keys;
    const bool done = dchan_hs_done(hs);
    if (done)
        dchan_hs_take(hs, &keys);
    dchan_hs_clear(hs);
    return done;
}

/* One act that arrives; the answer leaves. False: the other side has ended. */
static bool take_act(struct dchan_hs *hs, int fd, size_t size)
{
    uint8_t act[DCHAN_ACT_MAX], reply[DCHAN_ACT_MAX];
    struct span in = span_of(act, size);
    size_t len;
    if (!read_all(fd, act, size))
        return false;
    if (dchan_hs_feed(hs, &in, reply, &len))
        die("an act was refused");
    if (len)
        write_all(fd, reply, len);
    return true;
}

static bool respond(const struct side *s)
{
    struct dchan_hs hs;
    begin(&hs, s, DCHAN_RESPONDER);
    return take_act(&hs, s->fd, DCHAN_ACT_ONE_SIZE) && take_act(&hs, s->fd, DCHAN_ACT_THREE_SIZE) &&
           finish(&hs);
}

static void *initiate(void *arg)
{
    const struct side *s = arg;
    uint8_t act[DCHAN_ACT_ONE_SIZE];
    for (;;) {
        struct dchan_hs hs;
        begin(&hs, s, DCHAN_INITIATOR);
        if (dchan_hs_start(&hs, act))
            die("act 1 could not be made");
        if (send(s->fd, act, sizeof act, MSG_NOSIGNAL) != sizeof act ||
            !take_act(&hs, s->fd, DCHAN_ACT_TWO_SIZE))
            return NULL;
        if (!finish(&hs))
            die("a handshake did not end");
    }
}

/* --- the curve alone --- */

struct curve {
    secp256k1_context *ctx;
    uint8_t keys[KEYS][33];
};

static void curve_init(struct curve *c)
{
    c->ctx = secp256k1_context_create(SECP256K1_CONTEXT_SIGN);
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t secret[32];
        rand_bytes(secret, sizeof secret);
        if (!ec_pubkey_of(c->keys[i], secret))
            die("no key");
    }
}

static void curve_once(const struct curve *c, const uint8_t secret[32], size_t i)
{
    secp256k1_pubkey e, s, own;
    uint8_t fresh[32], out[33], shared[32];
    size_t len = sizeof out;
    rand_bytes(fresh, sizeof fresh);
    if (!secp256k1_ec_pubkey_parse(c->ctx, &e, c->keys[i % KEYS], 33) ||
        !secp256k1_ec_pubkey_parse(c->ctx, &s, c->keys[(i + 7) % KEYS], 33) ||
        !secp256k1_ec_pubkey_create(c->ctx, &own, fresh) ||
        !secp256k1_ec_pubkey_serialize(c->ctx, out, &len, &own, SECP256K1_EC_COMPRESSED) ||
        !secp256k1_ecdh(c->ctx, shared, &e, secret, NULL, NULL) ||
        !secp256k1_ecdh(c->ctx, shared, &e, fresh, NULL, NULL) ||
        !secp256k1_ecdh(c->ctx, shared, &s, fresh, NULL, NULL))
        die("the curve failed");
}

static double thread_seconds(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

/* CPU seconds of one, on this thread. */
static double measure_curve(const struct side *s, double seconds)
{
    static struct curve c;
    size_t n = 0;
    curve_init(&c);
    const double start = thread_seconds();
    while (thread_seconds() - start < seconds)
        curve_once(&c, s->secret, n++);
    const double spent = thread_seconds() - start;
    secp256k1_context_destroy(c.ctx);
    return spent / (double)n;
}

static double measure_handshakes(const struct side *s, double seconds)
{
    size_t n = 0;
    const double start = thread_seconds();
    while (thread_seconds() - start < seconds) {
        if (!respond(s))
            die("a handshake did not end");
        n++;
    }
    return (thread_seconds() - start) / (double)n;
}

/* Both sides, so that neither slows the other down on a sibling of its core. */
static void keep_to_one_core(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die("no core of its own");
}

int main(int argc, char **argv)
{
    struct side a, b;
    unsigned long ms;
    int fds[2];
    pthread_t thread;
    if (argc != 2 || !(ms = strtoul(argv[1], NULL, 10)))
        die("usage: bench_handshake MS");
    const double seconds = (double)ms / 1000.0;
    keep_to_one_core();
    ec_init();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        die("no sockets");
    side_init(&a, fds[0], 0x11);
    side_init(&b, fds[1], 0x21);
    a.remote_key = b.key.pub;
    if (pthread_create(&thread, NULL, initiate, &a))
        die("no thread");
    const double before = measure_curve(&b, seconds);
    const double handshake = measure_handshakes(&b, seconds);
    const double after = measure_curve(&b, seconds);
    shutdown(b.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    printf("{\"curve\":%.9f,\"handshake\":%.9f}\n", before < after ? before : after, handshake);
    return EXIT_SUCCESS;
}
