#include "tests/script/script_util.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "script/build.h"
#include "script/opcode.h"
#include "tests/test.h"

static bool put_opcode(struct buf *b, const char *word)
{
    for (unsigned code = OP_RESERVED; code < 256; code++) {
        const char *name = opcode_table[code].name;
        if (!name || strncmp(name, "OP_", 3) != 0)
            continue;
        if (strcmp(word, name) == 0 || strcmp(word, name + 3) == 0) {
            script_put_op(b, (uint8_t)code);
            return true;
        }
    }
    return false;
}

/* Names of earlier times that vectors use. */
static bool put_alias(struct buf *b, const char *word)
{
    static const struct {
        const char *name;
        uint8_t code;
    } aliases[] = {
        { "NOP2", OP_CHECKLOCKTIMEVERIFY }, { "NOP3", OP_CHECKSEQUENCEVERIFY },
        { "NOP4", OP_SUBSTR },              { "NOP5", OP_LEFT },
        { "NOP6", OP_RIGHT },               { "NOP7", OP_LSHIFTNUM },
        { "NOP8", OP_RSHIFTNUM },           { "PUSHDATA1", OP_PUSHDATA1 },
        { "PUSHDATA2", OP_PUSHDATA2 },      { "PUSHDATA4", OP_PUSHDATA4 },
    };

    if (strncmp(word, "OP_", 3) == 0)
        word += 3;
    for (size_t i = 0; i < COUNT_OF(aliases); i++)
        if (strcmp(word, aliases[i].name) == 0) {
            script_put_op(b, aliases[i].code);
            return true;
        }
    return false;
}

static void put_word(struct buf *b, const char *word)
{
    char *end;
    size_t len = strlen(word);
    long long number = strtoll(word, &end, 10);

    if (*end == '\0') {
        script_put_num(b, number);
    } else if (strncmp(word, "0x", 2) == 0) {
        struct buf raw = unhex(word + 2);
        buf_put(b, raw.data, raw.len);
        buf_clear(&raw);
    } else if (len >= 2 && word[0] == '\'' && word[len - 1] == '\'') {
        script_put_data(b, word + 1, len - 2);
    } else if (!put_opcode(b, word) && !put_alias(b, word)) {
        fail_msg("no such word in a script: %s", word);
    }
}

struct buf script_asm(const char *text)
{
    struct buf b;

    buf_init(&b);
    while (*text) {
        size_t skip = strspn(text, " \t\n"), len;
        text += skip;
        len = strcspn(text, " \t\n");
        if (len == 0)
            break;
        char *word = strndup(text, len);
        put_word(&b, word);
        free(word);
        text += len;
    }
    return b;
}

static const struct {
    const char *name;
    uint32_t flag;
} flag_names[] = {
    { "NONE", 0 },
    { "P2SH", SCRIPT_P2SH },
    { "STRICTENC", SCRIPT_STRICTENC },
    { "DERSIG", SCRIPT_DERSIG },
    { "LOW_S", SCRIPT_LOW_S },
    { "NULLDUMMY", SCRIPT_NULLDUMMY },
    { "SIGPUSHONLY", SCRIPT_SIGPUSHONLY },
    { "MINIMALDATA", SCRIPT_MINIMALDATA },
    { "DISCOURAGE_UPGRADABLE_NOPS", SCRIPT_DISCOURAGE_UPGRADABLE_NOPS },
    { "CLEANSTACK", SCRIPT_CLEANSTACK },
    { "CHECKLOCKTIMEVERIFY", SCRIPT_CLTV },
    { "CHECKSEQUENCEVERIFY", SCRIPT_CSV },
    { "MINIMALIF", SCRIPT_MINIMALIF },
    { "NULLFAIL", SCRIPT_NULLFAIL },
    { "COMPRESSED_PUBKEYTYPE", SCRIPT_COMPRESSED_PUBKEYTYPE },
    { "SIGHASH_FORKID", SCRIPT_SIGHASH_FORKID },
    { "GENESIS", SCRIPT_GENESIS },
    { "UTXO_AFTER_GENESIS", SCRIPT_UTXO_AFTER_GENESIS },
    { "CHRONICLE", SCRIPT_CHRONICLE },
    { "UTXO_AFTER_CHRONICLE", SCRIPT_UTXO_AFTER_CHRONICLE },
};

static uint32_t flag_parse(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT_OF(flag_names); i++)
        if (strlen(flag_names[i].name) == len && strncmp(flag_names[i].name, name, len) == 0)
            return flag_names[i].flag;
    fail_msg("no such flag: %.*s", (int)len, name);
    return 0;
}

uint32_t script_flags_parse(const char *names)
{
    uint32_t flags = 0;

    while (*names) {
        size_t len = strcspn(names, ",");
        flags |= flag_parse(names, len);
        names += len + (names[len] == ',');
    }
    return flags;
}

bool script_err_by_vector_name(const char *name, enum script_err *err)
{
    static const struct {
        const char *vector, *ours;
    } aliases[] = {
        { "NULLFAIL", "SIG_NULLFAIL" },
        { "OPERAND_SIZE", "INVALID_OPERAND_SIZE" },
        { "SPLIT_RANGE", "INVALID_SPLIT_RANGE" },
    };

    for (size_t i = 0; i < COUNT_OF(aliases); i++)
        if (strcmp(name, aliases[i].vector) == 0)
            name = aliases[i].ours;
    for (unsigned i = 0; i < SCRIPT_ERR_VERDICTS; i++)
        if (strcmp(name, script_err_name((enum script_err)i)) == 0) {
            *err = (enum script_err)i;
            return true;
        }
    return false;
}

/* version, one input, one output, lock time 0 */
static struct tx *make_tx(int32_t version, const struct outpoint *prevout, struct span unlock,
                          struct span lock, int64_t amount)
{
    struct buf b;

    buf_init(&b);
    buf_put_le32(&b, (uint32_t)version);
    buf_put_compact(&b, 1);
    buf_put(&b, prevout->txid.b, 32);
    buf_put_le32(&b, prevout->index);
    buf_put_var_bytes(&b, unlock.data, unlock.len);
    buf_put_le32(&b, TX_SEQUENCE_FINAL);
    buf_put_compact(&b, 1);
    buf_put_le64(&b, (uint64_t)amount);
    buf_put_var_bytes(&b, lock.data, lock.len);
    buf_put_le32(&b, 0);
    struct tx *tx = tx_new(b.data, b.len, NULL);
    assert_non_null(tx);
    buf_clear(&b);
    return tx;
}

void spend_init(struct spend *s, int32_t version, struct span unlock, struct span lock,
                int64_t amount, uint32_t flags)
{
    struct outpoint null = { .index = UINT32_MAX };
    struct tx *credit = make_tx(1, &null, span_of("\0\0", 2), lock, amount);
    struct outpoint coin = { .txid = credit->id, .index = 0 };

    buf_init(&s->lock);
    buf_put(&s->lock, lock.data, lock.len);
    s->tx = make_tx(version, &coin, unlock, span_of("", 0), amount);
    s->limits = script_limits_consensus(0);
    s->in = (struct script_input){
        .tx = s->tx, .index = 0, .script_pubkey = buf_span(&s->lock), .amount = amount,
        .flags = flags,
    };
    tx_unref(credit);
}

void spend_clear(struct spend *s)
{
    buf_clear(&s->lock);
    tx_unref(s->tx);
}

enum script_err spend_run(const struct spend *s)
{
    struct script_input in = s->in;

    in.limits = &s->limits;
    return script_verify(&in);
}

enum script_err run_text_version(const char *unlock, const char *lock, uint32_t flags,
                                 int32_t version)
{
    struct buf sig = script_asm(unlock), key = script_asm(lock);
    struct spend s;

    spend_init(&s, version, buf_span(&sig), buf_span(&key), 0, flags);
    enum script_err err = spend_run(&s);
    spend_clear(&s);
    buf_clear(&sig);
    buf_clear(&key);
    return err;
}

enum script_err run_text(const char *unlock, const char *lock, uint32_t flags)
{
    return run_text_version(unlock, lock, flags, 1);
}
