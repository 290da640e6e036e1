/*
 * The number lies on a page that the kernel gives a child as zeros (MADV_WIPEONFORK), so that
 * whoever finds a zero draws a new one. Kernels before 4.14 cannot do that: there the number is
 * that of the process.
 */
#include <config.h>

#include "base/process_copy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rand.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint_least64_t *page; /* NULL: the kernel wipes none */
static atomic_uint_least64_t renewed; /* only where there is no page: above any number of one */

static void map_page(void)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED && madvise(p, size, MADV_WIPEONFORK) == 0) {
        page = p;
        return;
    }
    log_info("copies of this process are told apart by its number alone, as the kernel wipes no "
             "page for them (MADV_WIPEONFORK): %s", strerror(errno));
    if (p != MAP_FAILED)
        munmap(p, size);
}

uint64_t process_copy_number(void)
{
    uint_least64_t number = 0;
    pthread_once(&once, map_page);
    if (!page)
        return (uint64_t)getpid() + atomic_load(&renewed);
    number = atomic_load_explicit(page, memory_order_relaxed);
    if (number)
        return number;
    const uint_least64_t drawn = rand_u64() | 1;
    return atomic_compare_exchange_strong(page, &number, drawn) ? drawn : number;
}

void process_copy_renew(void)
{
    pthread_once(&once, map_page);
    if (page)
        atomic_store(page, rand_u64() | 1);
    else
        atomic_fetch_add(&renewed, UINT64_C(1) << 32);
}
