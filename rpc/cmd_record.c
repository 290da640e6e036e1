/* setpublication, listrecords, getrecord: announced records of identities (spec channels 1). */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/bca_intake.h"
#include "p2p/contacts.h"
#include "rpc/identity_call.h"
#include "rpc/own_record.h"
#include "rpc/record_json.h"

#define COUNT_DEFAULT 100
#define COUNT_MAX 1000
#define WAIT_MAX_S 60
#define WAIT_STEP_MS 20

/* False: call has failed. */
static bool has_records(struct rpc_call *call)
{
    if (!call->env->records)
        rpc_fail(call, RPC_MISC_ERROR, "this node keeps no records of identities yet");
    return call->env->records != NULL;
}

/* --- setpublication ------------------------------------------------------------------------- */

static void put_own(struct json_writer *w, const struct bca_own *own)
{
    struct bca_record r;
    jw_object_open(w);
    jw_put_text(w, "identity", own->name);
    jw_put_text(w, "wallet", own->wallet);
    jw_put_hex(w, "key", own->key, sizeof own->key);
    jw_put_text(w, "publication", bca_publication_name(own->mode));
    if (own->record_len &&
        bca_record_read(&r, span_of(own->record, own->record_len)) == BCA_RECORD_GOOD)
        jw_record_fields(w, &r);
    if (own->doubled)
        jw_put_text(w, "warning",
                    "somebody else announces it with its key: a second copy runs, or the key is "
                    "stolen; nothing more is announced");
    jw_object_close(w);
}

/* False: call has failed. */
static bool take_mode(struct rpc_call *call, enum bca_publication *mode)
{
    const char *text = rpc_text(call, 1, "");
    if (bca_publication_of(text, mode))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "mode must be private, contacts or public");
    return false;
}

/* False: call has failed. *alias NULL: not given. */
static bool take_alias(struct rpc_call *call, const char **alias)
{
    *alias = rpc_has(call, 2) ? rpc_text(call, 2, "") : NULL;
    if (!*alias || !**alias ||
        (strlen(*alias) <= BCA_RECORD_ALIAS_MAX && contact_alias_allowed(*alias)))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "alias must have at most %d bytes of UTF-8, without "
             "characters that cannot be seen", BCA_RECORD_ALIAS_MAX);
    return false;
}

static struct rpc_result set_publication(struct rpc_call *call, struct wallet *w)
{
    enum bca_publication mode;
    struct bca_own own;
    const char *alias, *name = rpc_identity_name(call, 0);
    if (!name || !take_mode(call, &mode) || !take_alias(call, &alias) ||
        !own_record_set(call, w, name, mode, alias, &own))
        return rpc_failed(call);
    put_own(call->out, &own);
    return rpc_done();
}

static struct rpc_result cmd_setpublication(struct rpc_call *call)
{
    return has_records(call) ? rpc_with_wallet(call, set_publication) : rpc_failed(call);
}

/* --- listrecords ---------------------------------------------------------------------------- */

static enum err put_one(struct rpc_call *call, const uint8_t record_key[32], struct error *e)
{
    struct bca_facts f;
    struct buf raw;
    bool found;
    buf_init(&raw);
    const enum err rc = bca_store_find_any(call->env->records, record_key, &raw, &f, &found, e);
    if (!rc && found)
        jw_record(call->out, buf_span(&raw), &f, RECORD_IN_LIST);
    buf_clear(&raw);
    return rc;
}

static enum err put_records(struct rpc_call *call, size_t from, size_t count, struct error *e)
{
    uint8_t (*keys)[32] = xcalloc(COUNT_MAX, sizeof *keys);
    const size_t n = bca_store_list(call->env->records, keys, from, count);
    enum err rc = OK;
    jw_key(call->out, "records");
    jw_array_open(call->out);
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_one(call, keys[i], e);
    jw_array_close(call->out);
    free(keys);
    return rc;
}

static void put_counts(struct rpc_call *call)
{
    struct bca_store_counts stored;
    struct bca_intake_counts held;
    bca_store_count(call->env->records, &stored);
    bca_intake_count(call->env->record_intake, &held);
    jw_put_u64(call->out, "total", stored.records);
    jw_put_u64(call->out, "bytes", stored.bytes);
    jw_put_u64(call->out, "remembered", stored.remembered);
    jw_put_u64(call->out, "waiting", held.waiting);
    jw_put_u64(call->out, "parked", held.parked);
}

static enum err put_all_own(struct rpc_call *call, struct error *e)
{
    struct bca_own *all;
    size_t n;
    const enum err rc = bca_own_list(call->env->records, &all, &n, e);
    if (rc)
        return rc;
    jw_key(call->out, "own");
    jw_array_open(call->out);
    for (size_t i = 0; i < n; i++)
        put_own(call->out, &all[i]);
    jw_array_close(call->out);
    free(all);
    return OK;
}

static struct rpc_result cmd_listrecords(struct rpc_call *call)
{
    struct error e = { .code = OK };
    const int64_t count = rpc_int(call, 0, COUNT_DEFAULT), from = rpc_int(call, 1, 0);
    if (!has_records(call))
        return rpc_failed(call);
    if (count < 0 || count > COUNT_MAX || from < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "count must be 0 to %d, from 0 or more",
                        COUNT_MAX);
    jw_object_open(call->out);
    put_counts(call);
    enum err rc = put_all_own(call, &e);
    if (!rc)
        rc = put_records(call, (size_t)from, (size_t)count, &e);
    jw_object_close(call->out);
    return rc ? rpc_fail_error(call, &e) : rpc_done();
}

/* --- getrecord ------------------------------------------------------------------------------ */

/* False: call has failed. */
static bool take_key(struct rpc_call *call, uint8_t key[IDENTITY_KEY_SIZE])
{
    struct buf hex;
    buf_init(&hex);
    rpc_hex(call, 0, &hex);
    const bool good = hex.len == IDENTITY_KEY_SIZE && (hex.data[0] == 2 || hex.data[0] == 3);
    if (good)
        memcpy(key, hex.data, IDENTITY_KEY_SIZE);
    else
        rpc_fail(call, RPC_INVALID_PARAMETER, "key must be the 33 bytes of a public key");
    buf_clear(&hex);
    return good;
}

/* Until a newer one than is known has come, or the time is over. */
static void wait_for_peers(struct rpc_call *call, const uint8_t key[IDENTITY_KEY_SIZE], int64_t s)
{
    const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
    const int64_t end = clock_mono_ms() + 1000 * s;
    struct bca_facts f = { .seq = 0 };
    uint8_t record_key[32];
    bca_record_key(record_key, key);
    (void)bca_store_look(call->env->records, record_key, &f);
    const uint64_t known = f.size ? f.seq : 0;
    call->env->look_for_record(call->env->node, key);
    while (clock_mono_ms() < end && !rpc_given_up(call)) {
        if (bca_store_look(call->env->records, record_key, &f) && f.size && f.seq > known)
            return;
        nanosleep(&step, NULL);
    }
}

static struct rpc_result put_record(struct rpc_call *call, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct error e = { .code = OK };
    struct bca_facts f;
    struct buf raw;
    bool found = false;
    buf_init(&raw);
    const enum err rc = bca_store_find(call->env->records, key, &raw, &f, &found, &e);
    if (!rc && found)
        jw_record(call->out, buf_span(&raw), &f, RECORD_WHOLE);
    buf_clear(&raw);
    if (rc)
        return rpc_fail_error(call, &e);
    return found ? rpc_done()
                 : rpc_fail(call, RPC_NOT_FOUND, "no record of this key is known");
}

static struct rpc_result cmd_getrecord(struct rpc_call *call)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    const int64_t wait = rpc_int(call, 1, 0);
    if (!has_records(call) || !take_key(call, key))
        return rpc_failed(call);
    if (wait < 0 || wait > WAIT_MAX_S)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "wait must be 0 to %d seconds", WAIT_MAX_S);
    if (wait)
        wait_for_peers(call, key, wait);
    return put_record(call, key);
}

/* Who does not wait takes no place of those that do. */
static enum rpc_where place_getrecord(struct json_object *params)
{
    struct json_object *wait = NULL;
    if (json_object_get_type(params) == json_type_array)
        wait = json_object_array_length(params) > 1 ? json_object_array_get_idx(params, 1) : NULL;
    else if (params)
        json_object_object_get_ex(params, "wait", &wait);
    return wait ? RPC_ON_WAITER : RPC_ON_WORKER;
}

static const struct rpc_command rows[] = {
    { .name = "setpublication",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_setpublication,
      .help = "How far an identity of the wallet is announced: private (nobody hears of it, as at "
              "first), contacts (its record is given over direct channels to contacts alone), or "
              "public (peers give it to anybody, with key, registration and address). The address "
              "is that on an interface, else the one formed last. The record is made anew when "
              "half of its day is over and when the address, the alias or what sessions offer "
              "(features) changes, which takes a wallet that is unlocked. Back to private "
              "leaves a last record that says so.",
      .result = "{identity, wallet, key, publication, " RECORD_FIELDS_HELP " (when there is a "
                "record), warning (when somebody else has its key)}",
      .example = "alice public",
      .params = { { "identity", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name" },
                  { "mode", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "private, contacts or public" },
                  { "alias", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "By which others may show it, at most 32 bytes, empty: none (default: that of "
                    "its last record)" } } },
    { .name = "listrecords",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_listrecords,
      .help = "The announced records of identities that this node keeps, in no order: its own, "
              "those of contacts, and what peers have announced. public says that it is given to "
              "any peer, reached that there was a session with the identity. An alias and all "
              "endpoints but the proved one are the word of the other side. own: what this node "
              "announces itself.",
      .result = "{total, bytes, remembered (keys whose record is gone), waiting, parked, "
                "own:[{identity, wallet, key, publication, " RECORD_FIELDS_HELP " (when there is a "
                "record), warning (when somebody else has its key)}...], "
                "records:[{" RECORD_JSON_HELP "}...]}",
      .example = "10 0",
      .params = { { "count", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "At most so many (default: 100, up to 1000)" },
                  { "from", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "So many are left out first (default: 0)" } } },
    { .name = "getrecord",
      .category = "identity",
      .where = RPC_ON_WAITER,
      .fn = cmd_getrecord,
      .place = place_getrecord,
      .help = "The record by which an identity announces where it can be reached; that of a "
              "contact is kept when it has expired. With wait the connected peers are asked for "
              "a newer one first.",
      .result = "{" RECORD_JSON_HELP ", params, record}",
      .example = "02... 5",
      .params = { { "key", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The public key of the identity" },
                  { "wait", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Seconds in which peers may answer (default: 0, up to 60)" } } },
};
const struct rpc_group rpc_record_commands = { rows, COUNT_OF(rows) };
