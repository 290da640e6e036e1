#include "base/limbs.h"

#include <string.h>

void limbs_mul_base(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn)
{
    memset(r, 0, (an + bn) * sizeof(*r));
    for (size_t i = 0; i < bn; i++)
        r[an + i] = limbs_addmul_1(r + i, a, an, b[i]);
}

enum err limbs_mul(uint64_t *r, const uint64_t *a, size_t an, const uint64_t *b, size_t bn,
                   const struct cancel *cancel)
{
    if (cancelled(cancel))
        return ERR_CANCELLED;
    limbs_mul_base(r, a, an, b, bn);
    return OK;
}
