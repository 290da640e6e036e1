/* Money in satoshis: limits of one amount or of any sum of amounts (spec consensus 1.7, 3.1). */
#ifndef BASE_AMOUNT_H
#define BASE_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#define COIN INT64_C(100000000)
#define MAX_MONEY (INT64_C(21000000) * COIN)

static inline bool money_range(int64_t value) { return value >= 0 && value <= MAX_MONEY; }

#endif
