/*
 * What a file over a direct channel costs beside its records, for contrib/bench: one hash of each
 * chunk, reading it from the page cache, and writing it to the disk in the steps of the daemon.
 *
 * usage: bench_disk FILE BYTES     makes FILE and removes it; prints one line of JSON: CPU seconds
 *                                  of this process a byte
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "contrib/bench_loop.h"
#include "p2p/dchan_file_id.h"
#include "p2p/transfers_internal.h"

struct disk {
    struct file file;
    uint64_t bytes;
    uint8_t *block; /* FILE_BLOCK bytes */
};

static void check(enum err rc, const struct error *e)
{
    if (rc)
        die(e->text);
}

static void hash_all(struct disk *d)
{
    const size_t chunk = (size_t)1 << dchan_chunk_log2(d->bytes);
    uint8_t leaf[32], *data = xcalloc(1, chunk);
    for (uint64_t at = 0; at < d->bytes; at += chunk)
        dchan_leaf_hash(leaf, span_of(data, (size_t)MIN_OF((uint64_t)chunk, d->bytes - at)));
    free(data);
}

static void sync_now(const struct disk *d)
{
    struct error e;
    check(file_sync(&d->file, &e), &e);
    file_uncache(&d->file);
}

static void write_all(struct disk *d)
{
    struct error e;
    uint64_t unsynced = 0;
    for (uint64_t at = 0; at < d->bytes; at += FILE_BLOCK) {
        const size_t n = (size_t)MIN_OF((uint64_t)FILE_BLOCK, d->bytes - at);
        check(file_pwrite(&d->file, d->block, n, at, &e), &e);
        unsynced += n;
        if (unsynced < TRANSFERS_SYNC_BYTES)
            continue;
        sync_now(d);
        unsynced = 0;
    }
    sync_now(d);
}

/* The last part of it again and again, which is in the page cache after the first time. */
static void read_all(struct disk *d)
{
    const uint64_t part = MIN_OF(d->bytes, UINT64_C(64) << 20);
    struct error e;
    for (uint64_t at = 0; at < d->bytes; at += FILE_PIECE) {
        const uint64_t from = at % part;
        const size_t n = (size_t)MIN_OF((uint64_t)FILE_PIECE, part - from);
        check(file_pread(&d->file, d->block, n, from, &e), &e);
    }
}

static double cost_of(void (*step)(struct disk *d), struct disk *d)
{
    const double before = cpu_seconds();
    step(d);
    return (cpu_seconds() - before) / (double)d->bytes;
}

int main(int argc, char **argv)
{
    struct disk d = { .bytes = argc == 3 ? strtoull(argv[2], NULL, 10) : 0 };
    struct error e;
    if (!d.bytes)
        die("usage: bench_disk FILE BYTES");
    d.block = xcalloc(1, FILE_BLOCK);
    check(file_open(&d.file, argv[1], FILE_CREATE_NEW, &e), &e);
    check(file_preallocate(&d.file, 0, d.bytes, &e), &e);
    const double hashed = cost_of(hash_all, &d), written = cost_of(write_all, &d),
                 read = cost_of(read_all, &d);
    printf("{\"hash\":%.6e,\"write\":%.6e,\"read\":%.6e}\n", hashed, written, read);
    check(path_remove(argv[1], &e), &e);
    file_close(&d.file);
    free(d.block);
    return EXIT_SUCCESS;
}
