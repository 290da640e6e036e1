/*
 * The bare verification loop that contrib/bench measures a sync against: key parse, DER parse,
 * normalise, verify, on all cores, over the signatures that gen_chain wrote. It calls libsecp256k1
 * directly, since it stands for what the library allows at best.
 *
 * usage: bench_verify FILE [THREADS]     prints one line of JSON
 */
#include <config.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <secp256k1.h>

#include "contrib/bench_loop.h"
#include "contrib/signature_record.h"

#define THREADS_MAX 256
#define CHUNK 256 /* records a thread takes at a time */

static const secp256k1_context *context;
static const struct signature_record *records;
static size_t n_records;
static atomic_size_t next_record;
static atomic_size_t n_bad;

static bool verify(const struct signature_record *r)
{
    secp256k1_pubkey key;
    secp256k1_ecdsa_signature sig;
    if (!secp256k1_ec_pubkey_parse(context, &key, r->key, sizeof r->key) ||
        !secp256k1_ecdsa_signature_parse_der(context, &sig, r->sig, r->sig_len))
        return false;
    secp256k1_ecdsa_signature_normalize(context, &sig, &sig);
    return secp256k1_ecdsa_verify(context, &sig, r->digest, &key);
}

static void *work(void *arg)
{
    (void)arg;
    size_t at;
    while ((at = atomic_fetch_add(&next_record, CHUNK)) < n_records)
        for (size_t i = at; i < at + CHUNK && i < n_records; i++)
            if (!verify(&records[i]))
                atomic_fetch_add(&n_bad, 1);
    return NULL;
}

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseeko(f, 0, SEEK_END)) {
        fprintf(stderr, "bench_verify: cannot read %s\n", path);
        exit(1);
    }
    n_records = (size_t)ftello(f) / sizeof *records;
    struct signature_record *list = calloc(n_records ? n_records : 1, sizeof *list);
    rewind(f);
    if (!list || fread(list, sizeof *list, n_records, f) != n_records) {
        fprintf(stderr, "bench_verify: cannot read %s\n", path);
        exit(1);
    }
    fclose(f);
    records = list;
}

int main(int argc, char **argv)
{
    pthread_t ids[THREADS_MAX];
    long threads = argc > 2 ? strtol(argv[2], NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    if (argc < 2 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_verify FILE [THREADS]\n");
        return 1;
    }
    load(argv[1]);
    context = secp256k1_context_create(SECP256K1_CONTEXT_VERIFY);
    double start = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (long t = 0; t < threads; t++)
        if (pthread_create(&ids[t], NULL, work, NULL))
            return 1;
    for (long t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    double seconds = seconds_of(CLOCK_MONOTONIC) - start;
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"signatures\": %zu, \"bad\": %zu, \"threads\": %ld, \"seconds\": %.6f, "
           "\"cpu\": %.6f}\n", n_records, atomic_load(&n_bad), threads, seconds, cpu);
    return atomic_load(&n_bad) ? 1 : 0;
}
