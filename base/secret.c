/*
 * A piece is one mapping:
 *
 *   page      forbidden
 *   pages     size of the mapping (16 bytes), the secret, zeros to the end of the last page
 *   page      forbidden
 *
 * so that neither a run over an array before it nor one behind it comes to read the secret.
 */
#include <config.h>

#include "base/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"

struct head {
    size_t inner; /* bytes between the two forbidden pages */
};

enum { HEAD_SIZE = 16 }; /* keeps the secret aligned as malloc would */
_Static_assert(sizeof(struct head) <= HEAD_SIZE, "the head fits");

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void lock_pages(void *p, size_t len)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (mlock(p, len) != 0 && !atomic_flag_test_and_set(&said))
        log_warn("memory for keys cannot be locked (%s) and may be written to swap space: raise "
                 "the limit (ulimit -l, LimitMEMLOCK= in a unit)", strerror(errno));
}

void *secret_alloc(size_t size)
{
    const size_t page = page_size();
    size_t inner;
    if (!add_size(size, HEAD_SIZE + page - 1, &inner) || inner > PTRDIFF_MAX - 2 * page)
        return xcheck(NULL);
    inner -= inner % page;
    uint8_t *map = (uint8_t *)mmap(NULL, inner + 2 * page, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, inner, PROT_READ | PROT_WRITE) != 0)
        return xcheck(NULL);
    (void)madvise(map + page, inner, MADV_DONTDUMP); /* a kernel too old for it loses only this */
    lock_pages(map + page, inner);
    ((struct head *)(void *)(map + page))->inner = inner;
    return map + page + HEAD_SIZE;
}

void secret_free(void *p)
{
    if (!p)
        return;
    uint8_t *start = (uint8_t *)p - HEAD_SIZE;
    const size_t inner = ((const struct head *)(void *)start)->inner, page = page_size();
    secure_wipe(start, inner);
    munmap(start - page, inner + 2 * page); /* unlocks too */
}
