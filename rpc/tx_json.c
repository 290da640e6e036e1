#include "rpc/tx_json.h"

#include "base/address.h"
#include "base/hash.h"
#include "script/disasm.h"
#include "script/template.h"

static void put_asm(struct json_writer *w, struct span script, enum script_disasm mode)
{
    struct buf text;
    buf_init(&text);
    script_disassemble(&text, script, mode);
    jw_key(w, "asm");
    jw_plain(w, (const char *)text.data, text.len);
    buf_clear(&text);
}

static void put_address(struct json_writer *w, uint8_t version, const uint8_t hash[20])
{
    char text[ADDRESS_TEXT_MAX];
    jw_text(w, address_encode(text, version, hash));
}

static void put_addresses(struct json_writer *w, const struct script_match *m,
                          const struct chain_params *p)
{
    jw_key(w, "addresses");
    jw_array_open(w);
    if (m->type == SCRIPT_TYPE_PUBKEYHASH)
        put_address(w, p->address_version, m->data[0].data);
    else if (m->type == SCRIPT_TYPE_SCRIPTHASH)
        put_address(w, p->script_address_version, m->data[0].data);
    else
        for (unsigned i = 0; i < m->n_keys; i++) {
            uint8_t hash[20];
            hash160(hash, m->data[i].data, m->data[i].len);
            put_address(w, p->address_version, hash);
        }
    jw_array_close(w);
}

void jw_put_script(struct json_writer *w, struct span script, const struct chain_params *p,
                   enum script_era era, enum jw_script_hex hex)
{
    struct script_match m;
    script_classify(script, era, &m);
    bool has_addresses = m.type != SCRIPT_TYPE_NONSTANDARD && m.type != SCRIPT_TYPE_NULL_DATA;
    put_asm(w, script, SCRIPT_DISASM_PLAIN);
    if (hex == JW_SCRIPT_WITH_HEX)
        jw_put_hex(w, "hex", script.data, script.len);
    if (has_addresses)
        /* The reference says 1 of a script's hash, whatever stands behind it. */
        jw_put_i64(w, "reqSigs", m.type == SCRIPT_TYPE_SCRIPTHASH ? 1 : m.required);
    jw_put_text(w, "type", script_type_name(m.type));
    if (has_addresses)
        put_addresses(w, &m, p);
}

static void put_input(struct json_writer *w, const struct tx_in *in, bool coinbase)
{
    jw_object_open(w);
    if (coinbase) {
        jw_put_hex(w, "coinbase", in->script.data, in->script.len);
    } else {
        jw_put_hash(w, "txid", in->prevout.txid.b);
        jw_put_u64(w, "vout", in->prevout.index);
        jw_key(w, "scriptSig");
        jw_object_open(w);
        put_asm(w, in->script, SCRIPT_DISASM_SIGNATURES);
        jw_put_hex(w, "hex", in->script.data, in->script.len);
        jw_object_close(w);
    }
    jw_put_u64(w, "sequence", in->sequence);
    jw_object_close(w);
}

static void put_output(struct json_writer *w, const struct tx_out *out, size_t n,
                       const struct chain_params *p, enum script_era era)
{
    jw_object_open(w);
    jw_key(w, "value");
    jw_amount_trimmed(w, out->value);
    jw_put_u64(w, "n", n);
    jw_key(w, "scriptPubKey");
    jw_object_open(w);
    jw_put_script(w, out->script, p, era, JW_SCRIPT_WITH_HEX);
    jw_object_close(w);
    jw_object_close(w);
}

void jw_tx(struct json_writer *w, const struct tx *tx, const struct chain_params *p,
           enum script_era era, const struct tx_json_block *block)
{
    bool coinbase = tx_is_coinbase(tx);
    jw_object_open(w);
    jw_put_hash(w, "txid", tx->id.b);
    jw_put_hash(w, "hash", tx->id.b);
    jw_put_i64(w, "version", tx->version);
    jw_put_u64(w, "size", tx->raw.len);
    jw_put_u64(w, "locktime", tx->lock_time);
    jw_key(w, "vin");
    jw_array_open(w);
    for (size_t i = 0; i < tx->n_in; i++)
        put_input(w, &tx->in[i], coinbase);
    jw_array_close(w);
    jw_key(w, "vout");
    jw_array_open(w);
    for (size_t i = 0; i < tx->n_out; i++)
        put_output(w, &tx->out[i], i, p, era);
    jw_array_close(w);
    if (block && block->hash) {
        jw_put_hash(w, "blockhash", block->hash->b);
        jw_put_i64(w, "confirmations", block->confirmations);
        jw_put_u64(w, "time", block->time);
        jw_put_u64(w, "blocktime", block->time);
        jw_put_i64(w, "blockheight", block->height);
    }
    jw_put_hex(w, "hex", tx->raw.data, tx->raw.len);
    jw_object_close(w);
}
