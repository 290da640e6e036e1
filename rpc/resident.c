/*
 * The kernel does not name stacks of threads. They are known by the guard below them, a mapping
 * without access; the allocator's arenas have theirs above and begin at multiples of ARENA. Where a
 * C library guards stacks in another way they count as heap.
 */
#include "rpc/resident.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ARENA (UINT64_C(64) << 20)

enum kind { KIND_FILE, KIND_STACK, KIND_HEAP };

struct walk {
    enum kind kind;     /* of the mapping whose lines follow */
    uint64_t guard_end; /* of the one before it, when that allows no access */
    uint64_t data_end;  /* when that is written data of a file: zeroed data follow */
};

static enum kind kind_of(const struct walk *w, uint64_t start, const char *name)
{
    if (*name)
        return *name != '[' ? KIND_FILE : strstr(name, "[stack") ? KIND_STACK : KIND_HEAP;
    if (start == w->data_end)
        return KIND_FILE;
    return start == w->guard_end && start % ARENA ? KIND_STACK : KIND_HEAP;
}

/* "start-end rights offset device inode  name". False: it is another line. */
static bool take_mapping(struct walk *w, const char *line)
{
    unsigned long long start, end;
    char rights[5];
    int name = 0;
    if (sscanf(line, "%llx-%llx %4s %*s %*s %*s %n", &start, &end, rights, &name) != 3 || !name)
        return false;
    w->kind = kind_of(w, start, line + name);
    w->guard_end = strncmp(rights, "---", 3) == 0 ? end : 0;
    w->data_end = w->kind == KIND_FILE && line[name] && rights[1] == 'w' ? end : 0;
    return true;
}

static void add(struct resident *r, enum kind kind, uint64_t bytes)
{
    uint64_t *const of[] = { [KIND_FILE] = &r->program, [KIND_STACK] = &r->stacks,
                             [KIND_HEAP] = &r->heap };
    *of[kind] += bytes;
    r->all += bytes;
}

struct resident resident_read(FILE *smaps)
{
    struct resident r = { 0 };
    struct walk w = { .kind = KIND_HEAP };
    unsigned long long kib;
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, smaps) > 0)
        if (!take_mapping(&w, line) && sscanf(line, "Rss: %llu kB", &kib) == 1)
            add(&r, w.kind, kib * 1024);
    free(line);
    return r;
}

struct resident resident_take(void)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    if (!f)
        return (struct resident){ 0 };
    const struct resident r = resident_read(f);
    fclose(f);
    return r;
}
