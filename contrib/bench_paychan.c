/*
 * What bounds payments over channels, for contrib/bench: how often a sector can be written and
 * synced where the journal lies, and how fast one core, and each of several, signs and verifies.
 *
 * usage: bench_paychan DIR MS THREADS     prints one line of JSON, with times in seconds
 */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/ec.h"
#include "base/file.h"
#include "contrib/bench_loop.h"

#define SECTOR 512 /* base/journal.h: the least that a flush writes */
#define ALLOCATED (UINT64_C(64) << 20)
#define THREADS_MAX 256

static const uint8_t secret[32] = { [31] = 7 };

static double flush_seconds(const char *dir, double seconds)
{
    char *path = path_join(dir, "bench_paychan.tmp");
    const uint8_t sector[SECTOR] = { 1 };
    struct file f = { .fd = -1 };
    struct error e = { .code = OK };
    uint64_t n = 0;
    if (file_open(&f, path, FILE_CREATE, &e) || file_preallocate(&f, 0, ALLOCATED, &e) ||
        file_sync(&f, &e))
        die(e.text);
    const double start = seconds_of(CLOCK_MONOTONIC);
    double end = start;
    for (; end - start < seconds; end = seconds_of(CLOCK_MONOTONIC)) {
        if (file_pwrite(&f, sector, sizeof sector, n * SECTOR % ALLOCATED, &e) ||
            file_sync(&f, &e))
            die(e.text);
        n++;
    }
    file_close(&f);
    if (path_remove(path, &e))
        die(e.text);
    free(path);
    return (end - start) / (double)n;
}

struct loop {
    pthread_t thread;
    double seconds; /* to run; then of one round */
    bool sign, verify;
};

static void *run_loop(void *arg)
{
    struct loop *l = arg;
    uint8_t digest[32] = { 0 }, key[EC_PUBKEY_SIZE], sig[EC_SIG_SIZE];
    uint32_t n = 0;
    if (!ec_pubkey_of(key, secret) || !ec_sign_rs(sig, secret, digest))
        die("a key is none");
    const double start = seconds_of(CLOCK_MONOTONIC);
    double end = start;
    for (; end - start < l->seconds; end = seconds_of(CLOCK_MONOTONIC)) {
        le32_put(digest, l->sign ? n : 0);
        if (l->sign && !ec_sign_rs(sig, secret, digest))
            die("signing fails");
        if (l->verify && !ec_verify_rs(key, sig, digest))
            die("a signature is none");
        n++;
    }
    l->seconds = (end - start) / n;
    return NULL;
}

static double one(double seconds, bool sign, bool verify)
{
    struct loop l = { .seconds = seconds, .sign = sign, .verify = verify };
    (void)run_loop(&l);
    return l.seconds;
}

/* Both, on so many threads at once; seconds for one of them all together. */
static double on_threads(double seconds, unsigned threads)
{
    struct loop l[THREADS_MAX];
    double rate = 0;
    for (unsigned i = 0; i < threads; i++) {
        l[i] = (struct loop){ .seconds = seconds, .sign = true, .verify = true };
        if (pthread_create(&l[i].thread, NULL, run_loop, &l[i]))
            die("a thread cannot be started");
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(l[i].thread, NULL);
        rate += 1 / l[i].seconds;
    }
    return 1 / rate;
}

int main(int argc, char **argv)
{
    const long ms = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    const long threads = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    const double seconds = (double)ms / 1000;
    if (ms <= 0 || threads <= 0 || threads > THREADS_MAX)
        die("usage: bench_paychan DIR MS THREADS");
    ec_init();
    printf("{\"flush\": %.9f, ", flush_seconds(argv[1], seconds));
    printf("\"sign\": %.9f, \"verify\": %.9f, ", one(seconds, true, false),
           one(seconds, false, true));
    printf("\"both\": %.9f, \"on_threads\": %.9f}\n", one(seconds, true, true),
           on_threads(seconds, (unsigned)threads));
    return 0;
}
