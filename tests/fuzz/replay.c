/*
 * The main() of a fuzz target when no fuzzing engine is there. Runs every seed, then a fixed number
 * of mutations of them from a fixed start value, so that a failure comes back:
 *
 *   fuzz_NAME              the corpus tests/fuzz/corpus/NAME of the sources
 *   fuzz_NAME PATH...      files and directories of files
 *
 * BSVPEER_FUZZ_RUNS sets the number of mutations, BSVPEER_FUZZ_SEED the start value. The input that
 * is running when the target crashes is written to fuzz_NAME.crash in the working directory.
 */
#include <config.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    DEFAULT_RUNS = 2000,
    SEED_FILE_MAX = 1 << 26, /* bytes */
    MUTANT_MAX = 1 << 16,    /* bytes: larger seeds are run whole, but mutated cut to this */
};

struct corpus {
    struct buf *seeds;
    size_t n;
};

static struct buf current;  /* for the crash handler */
static char crash_name[128];

/* Only calls that are safe in a signal handler. */
static void on_crash(int sig)
{
    int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0) {
        if (write(fd, current.data, current.len) < 0)
            _exit(1);
        close(fd);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A copy of exactly the input's size, so that a read past the end is seen by the sanitizers. */
static void run_one(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    current = (struct buf){ .data = copy, .len = len, .cap = len };
    LLVMFuzzerTestOneInput(copy, len);
    buf_init(&current);
    free(copy);
}

static void load_file(struct corpus *c, const char *path)
{
    struct error e;
    struct buf seed;
    buf_init(&seed);
    if (file_read_all(path, SEED_FILE_MAX, &seed, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    c->seeds = xrealloc(c->seeds, (c->n + 1) * sizeof(*c->seeds));
    c->seeds[c->n++] = seed;
}

struct names {
    char **list;
    size_t n;
};

static void add_name(void *ctx, const char *name)
{
    struct names *names = (struct names *)ctx;
    names->list = xrealloc(names->list, (names->n + 1) * sizeof(*names->list));
    names->list[names->n++] = xstrdup(name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In sorted order, so that the mutations do not depend on the file system. */
static void load_dir(struct corpus *c, const char *dir)
{
    struct names names = { NULL, 0 };
    struct error e;
    if (path_list(dir, add_name, &names, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    if (names.n > 0)
        qsort(names.list, names.n, sizeof(*names.list), compare_names);
    for (size_t i = 0; i < names.n; i++) {
        char *path = path_join(dir, names.list[i]);
        load_file(c, path);
        free(path);
        free(names.list[i]);
    }
    free(names.list);
}

static void load_path(struct corpus *c, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        load_dir(c, path);
    else
        load_file(c, path);
}

static uint64_t random_state;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t random_below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

static void flip_bit(struct buf *b)
{
    if (b->len > 0)
        b->data[random_below(b->len)] ^= (uint8_t)(1u << random_below(8));
}

/* Values at which lengths and counts change their form or their sign. */
static void set_telling_byte(struct buf *b)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff };
    if (b->len > 0)
        b->data[random_below(b->len)] = values[random_below(sizeof(values))];
}

static void cut_tail(struct buf *b)
{
    b->len = random_below(b->len + 1);
}

static void remove_piece(struct buf *b)
{
    size_t at = random_below(b->len + 1), n = random_below(b->len - at + 1);
    memmove(b->data + at, b->data + at + n, b->len - at - n);
    b->len -= n;
}

static void insert_random(struct buf *b)
{
    size_t at = random_below(b->len + 1), n = 1 + random_below(16);
    buf_extend(b, n);
    memmove(b->data + at + n, b->data + at, b->len - n - at);
    for (size_t i = 0; i < n; i++)
        b->data[at + i] = (uint8_t)next_random();
}

static void repeat_piece(struct buf *b)
{
    size_t at = random_below(b->len + 1), n = random_below(b->len - at + 1);
    if (b->len + n > MUTANT_MAX)
        return;
    buf_extend(b, n);
    memmove(b->data + at + n, b->data + at, b->len - n - at);
}

static void (*const mutations[])(struct buf *) = {
    flip_bit, flip_bit, set_telling_byte, set_telling_byte,
    cut_tail, remove_piece, insert_random, repeat_piece,
};

static void mutate(struct buf *b)
{
    for (size_t rounds = 1 + random_below(4); rounds > 0; rounds--)
        mutations[random_below(sizeof(mutations) / sizeof(mutations[0]))](b);
}

static void run_mutants(const struct corpus *c, size_t runs)
{
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < runs; i++) {
        buf_reset(&b);
        buf_reserve(&b, 1); /* never NULL below */
        if (c->n > 0) {
            const struct buf *seed = &c->seeds[random_below(c->n)];
            buf_put(&b, seed->data, seed->len < MUTANT_MAX ? seed->len : MUTANT_MAX);
        }
        mutate(&b);
        run_one(b.data, b.len);
    }
    buf_clear(&b);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
    struct corpus c = { NULL, 0 };
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    snprintf(crash_name, sizeof(crash_name), "%s.crash", name);
    const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], on_crash);

    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            load_path(&c, argv[i]);
    } else if (strncmp(name, "fuzz_", 5) == 0) {
        char *dir = xasprintf("%s/tests/fuzz/corpus/%s", TOP_SRCDIR, name + 5);
        load_dir(&c, dir);
        free(dir);
    }
    run_one(NULL, 0);
    for (size_t i = 0; i < c.n; i++)
        run_one(c.seeds[i].data, c.seeds[i].len);
    size_t runs = (size_t)env_number("BSVPEER_FUZZ_RUNS", DEFAULT_RUNS);
    random_state = env_number("BSVPEER_FUZZ_SEED", 1);
    run_mutants(&c, runs);
    printf("%s: %zu seeds, %zu mutations\n", name, c.n, runs);

    size_t seeds = c.n;
    for (size_t i = 0; i < c.n; i++)
        buf_clear(&c.seeds[i]);
    free(c.seeds);
    return seeds > 0 ? 0 : 1; /* a target without a corpus is a mistake */
}
