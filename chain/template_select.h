/*
 * The choice of transactions for a block when not all of them fit: by what they pay for their size,
 * where a transaction counts together with the ancestors that it needs, and a group enters whole or
 * not at all (spec consensus 5.3). Pure function over a snapshot, any thread; takes two to
 * three seconds for a million transactions.
 */
#ifndef CHAIN_TEMPLATE_SELECT_H
#define CHAIN_TEMPLATE_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "chain/journal.h"

struct template_limits {
    uint64_t max_bytes;       /* all but the coinbase */
    bool sigops_limited;      /* before Genesis: by the begun megabyte (spec consensus 3.4) */
    uint64_t coinbase_sigops; /* kept free of them */
};

/* Whether these may be in one block. */
bool template_limits_allow(const struct template_limits *l, uint64_t bytes, uint64_t sigops);

struct template_choice {
    struct journal_entry *v; /* parents before children; each with a reference */
    size_t n;
    struct journal_totals totals;
};

enum err template_select(const struct journal_snapshot *s, const struct template_limits *l,
                         struct template_choice *out, struct error *e) MUST_CHECK;
void template_choice_clear(struct template_choice *c);

#endif
