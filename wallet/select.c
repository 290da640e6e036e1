/*
 * Values are compared in thousandths of a satoshi, less what the input costs at the fee rate, so
 * that sums of coins and fees need no rounding on the way; settle() then counts exactly.
 *
 * The search for a match without change takes at most one coin more than the fewest that suffice:
 * one more input costs less than change and its later spending, two cost more.
 */
#include <config.h>

#include "wallet/select.h"

#include <stdlib.h>

#include "base/amount.h"
#include "base/buf.h"
#include "base/intmath.h"
#include "base/mem.h"

#define MATCH_TRIES 100000
#define MILLI 1000

struct candidate {
    int64_t worth; /* thousandths */
    size_t index;
};

struct chooser {
    const struct select_request *r;
    struct select_result *out;
    int64_t target; /* of all recipients but max_to */
    size_t n_payers;
    struct candidate *c; /* usable up to a tier, most worth first */
    size_t n;
    int64_t *rest;       /* worth of candidates from here on */
    size_t *path;        /* of the search; a set of indices into c */
    size_t *best;
    size_t n_best;
    int64_t need, slack; /* worth that the candidates must bring; how much more is no change */
};

int64_t select_fee(uint64_t fee_sat_per_kb, size_t size)
{
    return (int64_t)((fee_sat_per_kb * size + MILLI - 1) / MILLI);
}

int64_t select_change_min(const struct select_request *r)
{
    return MAX_OF(select_fee(r->fee_sat_per_kb, r->change_input_size), DUST_SATOSHIS);
}

size_t select_frame_size(size_t n_in, size_t n_out)
{
    return 4 + compact_size_len(n_in) + compact_size_len(n_out) + 4;
}

void select_result_clear(struct select_result *out)
{
    free(out->chosen);
    free(out->amounts);
    *out = (struct select_result){ .chosen = NULL };
}

/* --- exact counting -------------------------------------------------------------------------- */

static bool is_usable(const struct select_request *r, const struct select_coin *c)
{
    return c->use == SELECT_MAY && !r->must_alone &&
           c->value * MILLI > (int64_t)(r->fee_sat_per_kb * c->input_size);
}

/* The coins that must be, and these candidates. */
static size_t count_chosen(const struct chooser *x, const size_t *set, size_t n, int64_t *total)
{
    const struct select_request *r = x->r;
    size_t size = 0;
    x->out->n_chosen = 0;
    *total = 0;
    for (size_t i = 0; i < r->n_coins; i++)
        if (r->coins[i].use == SELECT_MUST)
            x->out->chosen[x->out->n_chosen++] = i;
    for (size_t i = 0; i < n; i++)
        x->out->chosen[x->out->n_chosen++] = x->c[set[i]].index;
    for (size_t i = 0; i < x->out->n_chosen; i++) {
        const struct select_coin *c = &r->coins[x->out->chosen[i]];
        *total += c->value;
        size += c->input_size;
    }
    return size;
}

static enum select_status short_of(struct select_result *out, int64_t missing)
{
    out->missing = missing;
    return SELECT_INSUFFICIENT;
}

/* Recipients pay: equal parts, what is left over by the first. */
static enum select_status take_from_recipients(const struct chooser *x, int64_t pay)
{
    const int64_t each = pay / (int64_t)x->n_payers, over = pay % (int64_t)x->n_payers;
    bool first = true;
    for (size_t i = 0; i < x->r->n_to; i++) {
        if (!x->r->to[i].pays_fee)
            continue;
        x->out->amounts[i] -= each + (first ? over : 0);
        first = false;
        if (x->out->amounts[i] < DUST_SATOSHIS)
            return SELECT_DUST;
    }
    return SELECT_OK;
}

static enum select_status settle_payers(const struct chooser *x, int64_t fee, int64_t fee_change)
{
    struct select_result *out = x->out;
    const int64_t left = out->total - x->target;
    if (left < 0)
        return short_of(out, -left);
    if (left >= select_change_min(x->r)) {
        out->change = left;
        out->fee = fee_change;
        return take_from_recipients(x, fee_change);
    }
    out->fee = MAX_OF(fee, left);
    return take_from_recipients(x, out->fee - left);
}

static enum select_status settle_max(const struct chooser *x, int64_t fee)
{
    struct select_result *out = x->out;
    const int64_t left = out->total - x->target - fee;
    if (left < DUST_SATOSHIS)
        return short_of(out, DUST_SATOSHIS - left);
    out->fee = fee;
    out->amounts[x->r->max_to] = left;
    return SELECT_OK;
}

static enum select_status settle_plain(const struct chooser *x, int64_t fee, int64_t fee_change)
{
    struct select_result *out = x->out;
    const int64_t left = out->total - x->target;
    if (left < fee)
        return short_of(out, fee - left);
    out->fee = left;
    if (left - fee_change >= select_change_min(x->r)) {
        out->fee = fee_change;
        out->change = left - fee_change;
    }
    return SELECT_OK;
}

/* Fills the result for these candidates. */
static enum select_status settle(const struct chooser *x, const size_t *set, size_t n)
{
    const struct select_request *r = x->r;
    struct select_result *out = x->out;
    const size_t inputs = count_chosen(x, set, n, &out->total);
    const size_t size =
        select_frame_size(out->n_chosen, r->n_outputs) + inputs + r->outputs_size;
    const size_t size_change = select_frame_size(out->n_chosen, r->n_outputs + 1) + inputs +
                               r->outputs_size + r->change_size;
    const int64_t fee = select_fee(r->fee_sat_per_kb, size);
    const int64_t fee_change = select_fee(r->fee_sat_per_kb, size_change);
    for (size_t i = 0; i < r->n_to; i++)
        out->amounts[i] = r->to[i].amount;
    out->change = out->missing = 0;
    enum select_status status = r->max_to != SELECT_NOBODY ? settle_max(x, fee)
                                : x->n_payers ? settle_payers(x, fee, fee_change)
                                              : settle_plain(x, fee, fee_change);
    out->size = out->change ? size_change : size;
    if (status == SELECT_OK && r->max_size && out->size > r->max_size)
        return SELECT_TOO_LARGE;
    return status;
}

/* --- choosing -------------------------------------------------------------------------------- */

static int by_worth(const void *a, const void *b)
{
    const struct candidate *x = (const struct candidate *)a, *y = (const struct candidate *)b;
    if (x->worth != y->worth)
        return x->worth < y->worth ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* When recipients pay the fee, a coin is worth all of its value. */
static int64_t worth_of(const struct chooser *x, const struct select_coin *c)
{
    const int64_t cost = x->n_payers ? 0 : (int64_t)(x->r->fee_sat_per_kb * c->input_size);
    return c->value * MILLI - cost;
}

static void collect(struct chooser *x, unsigned tier)
{
    const struct select_request *r = x->r;
    x->n = 0;
    for (size_t i = 0; i < r->n_coins; i++)
        if (is_usable(r, &r->coins[i]) && r->coins[i].tier <= tier)
            x->c[x->n++] = (struct candidate){ worth_of(x, &r->coins[i]), i };
    qsort(x->c, x->n, sizeof *x->c, by_worth);
    x->rest[x->n] = 0;
    for (size_t i = x->n; i-- > 0;)
        x->rest[i] = x->rest[i + 1] + x->c[i].worth;
}

/* What the candidates must bring, as if there were few inputs. */
static void set_need(struct chooser *x)
{
    const struct select_request *r = x->r;
    const int64_t rate = (int64_t)r->fee_sat_per_kb;
    x->need = x->target * MILLI;
    x->slack = select_change_min(r) * MILLI - 1;
    if (!x->n_payers) {
        x->need += rate * (int64_t)(select_frame_size(1, r->n_outputs) + r->outputs_size);
        x->slack += rate * r->change_size;
    }
    bool must = false;
    for (size_t i = 0; i < r->n_coins; i++)
        if (r->coins[i].use == SELECT_MUST) {
            x->need -= worth_of(x, &r->coins[i]);
            must = true;
        }
    if (!must)
        x->need = MAX_OF(x->need, 1); /* a transaction has inputs */
}

/* The fewest candidates that bring enough; n + 1 when all of them do not. */
static size_t fewest(const struct chooser *x)
{
    size_t n = 0;
    while (n <= x->n && x->rest[0] - x->rest[n] < x->need)
        n++;
    return n;
}

/*
 * Depth first, largest first: each candidate is taken or left. A branch ends when what remains
 * cannot reach the need, or when it is worse than the best so far.
 */
static bool find_match(struct chooser *x, size_t max_coins)
{
    int64_t sum = 0, allowed = x->slack;
    size_t depth = 0, i = 0;
    bool found = false;
    for (size_t tries = 0; tries < MATCH_TRIES; tries++) {
        const bool reached = sum >= x->need && sum - x->need <= allowed;
        if (reached) {
            found = true;
            allowed = sum - x->need - 1;
            x->n_best = depth;
            for (size_t k = 0; k < depth; k++)
                x->best[k] = x->path[k];
        }
        if (sum < x->need && depth < max_coins && sum + x->rest[i] >= x->need) {
            x->path[depth++] = i;
            sum += x->c[i++].worth;
            continue;
        }
        if (depth == 0 || allowed < 0)
            break;
        i = x->path[--depth];
        sum -= x->c[i++].worth;
        while (i < x->n && x->c[i].worth == x->c[i - 1].worth)
            i++; /* leaving one and taking its like is the same */
    }
    return found;
}

/* The last of the candidates that brings at least this; they are sorted. */
static size_t smallest_with(const struct chooser *x, size_t from, int64_t worth)
{
    size_t lo = from, hi = x->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (x->c[mid].worth >= worth)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo - 1;
}

/* The largest ones but the last, and for it the smallest that leaves change worth having. */
static void take_few(struct chooser *x, size_t n)
{
    const int64_t before = x->rest[0] - x->rest[n - 1];
    const int64_t with_change = x->need + x->slack + 1 - before;
    for (size_t i = 0; i < n; i++)
        x->best[i] = i;
    if (x->c[n - 1].worth >= with_change)
        x->best[n - 1] = smallest_with(x, n - 1, with_change);
    x->n_best = n;
}

/* Counts of inputs take more bytes when there are many: the need grows until it is exact. */
static enum select_status take_until_enough(struct chooser *x)
{
    for (;;) {
        const size_t n = fewest(x);
        if (n > x->n)
            return SELECT_INSUFFICIENT;
        x->n_best = 0;
        if (n)
            take_few(x, n);
        const enum select_status status = settle(x, x->best, x->n_best);
        if (status != SELECT_INSUFFICIENT)
            return status;
        x->need += x->out->missing * MILLI;
    }
}

static enum select_status take_all(struct chooser *x)
{
    for (size_t i = 0; i < x->n; i++)
        x->best[i] = i;
    return settle(x, x->best, x->n);
}

static enum select_status try_tier(struct chooser *x, unsigned tier)
{
    collect(x, tier);
    if (x->r->max_to != SELECT_NOBODY)
        return take_all(x);
    set_need(x);
    const size_t n = fewest(x);
    if (n && n <= x->n && find_match(x, n + 1)) {
        const enum select_status status = settle(x, x->best, x->n_best);
        if (status == SELECT_OK)
            return status;
    }
    return take_until_enough(x);
}

static unsigned highest_tier(const struct select_request *r)
{
    unsigned tier = 0;
    for (size_t i = 0; i < r->n_coins; i++)
        if (is_usable(r, &r->coins[i]))
            tier = MAX_OF(tier, r->coins[i].tier);
    return tier;
}

/* Who gets all there is takes from every tier. */
static enum select_status choose(struct chooser *x)
{
    const unsigned highest = highest_tier(x->r);
    unsigned tier = x->r->max_to == SELECT_NOBODY ? 0 : highest;
    enum select_status status = try_tier(x, tier);
    while (tier < highest && (status == SELECT_INSUFFICIENT || status == SELECT_TOO_LARGE))
        status = try_tier(x, ++tier);
    return status == SELECT_INSUFFICIENT ? take_all(x) : status;
}

/* --- the request ----------------------------------------------------------------------------- */

static enum select_status add_targets(struct chooser *x)
{
    const struct select_request *r = x->r;
    for (size_t i = 0; i < r->n_to; i++) {
        if (i == r->max_to)
            continue;
        if (!money_range(r->to[i].amount) || !money_range(x->target += r->to[i].amount))
            return SELECT_REFUSED;
        if (r->to[i].amount < DUST_SATOSHIS)
            return SELECT_DUST;
        x->n_payers += r->max_to == SELECT_NOBODY && r->to[i].pays_fee;
    }
    return SELECT_OK;
}

static enum select_status add_coins(const struct chooser *x)
{
    const struct select_request *r = x->r;
    int64_t all = 0;
    size_t bytes = r->outputs_size;
    for (size_t i = 0; i < r->n_coins; i++) {
        const struct select_coin *c = &r->coins[i];
        if (!money_range(c->value) || !money_range(all += c->value) ||
            !add_size(bytes, c->input_size, &bytes))
            return SELECT_REFUSED;
        if (c->use == SELECT_IMMATURE)
            x->out->immature += c->value;
        if (c->use == SELECT_LOCKED)
            x->out->locked += c->value;
    }
    return bytes > UINT32_MAX / 2 || r->fee_sat_per_kb > FEE_RATE_MAX ? SELECT_REFUSED : SELECT_OK;
}

static bool allocate(struct chooser *x)
{
    const size_t n = x->r->n_coins;
    x->c = (struct candidate *)try_alloc(n + 1, sizeof *x->c);
    x->rest = (int64_t *)try_alloc(n + 1, sizeof *x->rest);
    x->path = (size_t *)try_alloc(n + 1, sizeof *x->path);
    x->best = (size_t *)try_alloc(n + 1, sizeof *x->best);
    x->out->chosen = (size_t *)try_alloc(n + 1, sizeof *x->out->chosen);
    x->out->amounts = (int64_t *)try_alloc(x->r->n_to + 1, sizeof *x->out->amounts);
    return x->c && x->rest && x->path && x->best && x->out->chosen && x->out->amounts;
}

static int by_index(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

void select_coins(const struct select_request *r, struct select_result *out)
{
    struct chooser x = { .r = r, .out = out };
    *out = (struct select_result){ .status = SELECT_NOMEM };
    if (allocate(&x)) {
        out->status = add_targets(&x);
        if (out->status == SELECT_OK)
            out->status = add_coins(&x);
        if (out->status == SELECT_OK)
            out->status = choose(&x);
    }
    if (out->status == SELECT_OK)
        qsort(out->chosen, out->n_chosen, sizeof *out->chosen, by_index);
    free(x.c);
    free(x.rest);
    free(x.path);
    free(x.best);
}
