#include "tests/fixed_rand.h"

#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"

static uint64_t row;

/* splitmix64 */
static void fill(void *out, size_t len)
{
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        uint64_t z = row += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        p[i] = (uint8_t)(z >> 56);
    }
}

int fixed_rand_begin(void **state)
{
    (void)state;
    row = 20200101;
    rand_set_source(fill);
    return 0;
}

int fixed_rand_end(void **state)
{
    (void)state;
    rand_set_source(NULL);
    return 0;
}
