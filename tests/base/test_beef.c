#include "base/beef.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/partial_merkle.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

static enum err read_all(const struct buf *raw, struct beef *b)
{
    struct reader r;
    reader_init(&r, raw->data, raw->len);
    enum err rc = beef_read(&r, b, NULL);
    if (!rc && !reader_done(&r)) {
        beef_clear(b);
        rc = ERR_PARSE;
    }
    return rc;
}

static void assert_written(const struct beef *b, const struct buf *want)
{
    struct buf out;
    buf_init(&out);
    beef_write(&out, b);
    assert_int_equal(out.len, want->len);
    assert_memory_equal(out.data, want->data, out.len);
    buf_clear(&out);
}

static void assert_good(const struct beef *b)
{
    struct error e = { OK, "" };
    if (beef_check(b, &e))
        fail_msg("%s", e.text);
}

static void assert_fault(const struct beef *b, const char *reason)
{
    struct error e = { OK, "" };
    assert_int_equal(beef_check(b, &e), ERR_PARSE);
    assert_string_equal(e.text, reason);
}

static void assert_subject(const struct beef *b, const char *want)
{
    char text[HASH_HEX_SIZE];
    const struct beef_tx *t = beef_subject(b);
    assert_non_null(t);
    assert_string_equal(hash_to_hex(text, t->tx.id.b), want);
}

/* --- a family of transactions ----------------------------------------------------------------- */

/* grand (proved) -> parent -> child, each spending output 0 of the one before. */
struct family {
    struct buf grand, parent, child;
    struct txid grand_id, parent_id, child_id;
};

static void make_tx(struct buf *out, struct txid *id, const struct txid *from, uint32_t index)
{
    struct tx_in in = { .prevout = { *from, index }, .sequence = TX_SEQUENCE_FINAL };
    struct tx_out to = { .value = 5, .script = span_of("Q", 1) };
    struct tx tx = { .version = 1, .n_in = 1, .n_out = 1, .in = &in, .out = &to };
    buf_init(out);
    tx_write(out, &tx);
    sha256d(id->b, out->data, out->len);
}

static void make_family(struct family *f)
{
    const struct txid before = { { 1, 2, 3 } };
    make_tx(&f->grand, &f->grand_id, &before, 0);
    make_tx(&f->parent, &f->parent_id, &f->grand_id, 0);
    make_tx(&f->child, &f->child_id, &f->parent_id, 0);
}

static void family_clear(struct family *f)
{
    buf_clear(&f->grand);
    buf_clear(&f->parent);
    buf_clear(&f->child);
}

/* A proof that the transaction is the second of a block of three. */
static void make_proof(struct bump *out, const struct txid *id, uint32_t height, uint8_t other)
{
    struct partial_merkle_builder p;
    struct partial_merkle partial;
    partial_merkle_init(&p);
    for (uint8_t i = 0; i < 3; i++) {
        struct hash256 leaf = { { other, i } };
        assert_int_equal(partial_merkle_add(&p, i == 1 ? id->b : leaf.b, i == 1), OK);
    }
    assert_int_equal(partial_merkle_finish(&p, &partial), OK);
    assert_int_equal(bump_from_partial(out, height, &partial, NULL), OK);
    partial_merkle_clear(&p);
}

static size_t add_proof(struct beef *b, const struct txid *id, uint32_t height, uint8_t other)
{
    struct bump bump;
    make_proof(&bump, id, height, other);
    return beef_add_bump(b, &bump);
}

static void add_tx(struct beef *b, const struct buf *raw)
{
    assert_int_equal(beef_add_tx(b, buf_span(raw), NULL), OK);
}

static void add_grand(struct beef *b, const struct family *f)
{
    size_t bump = add_proof(b, &f->grand_id, 100, 7);
    assert_int_equal(beef_add_proved(b, buf_span(&f->grand), bump, NULL), OK);
}

static void make_beef(struct beef *b, const struct family *f, enum beef_version version)
{
    beef_init(b, version);
    add_grand(b, f);
    add_tx(b, &f->parent);
    add_tx(b, &f->child);
}

static void all_versions_round_trip(void **state)
{
    (void)state;
    struct family f;
    make_family(&f);
    for (int i = 0; i < 4; i++) {
        struct beef b, again;
        struct buf raw;
        make_beef(&b, &f, i % 2 ? BEEF_V2 : BEEF_V1);
        b.atomic = i / 2;
        b.subject = f.child_id;
        assert_good(&b);
        buf_init(&raw);
        beef_write(&raw, &b);
        assert_int_equal(read_all(&raw, &again), OK);
        assert_int_equal(again.version, b.version);
        assert_int_equal(again.atomic, b.atomic);
        assert_good(&again);
        assert_true(txid_equal(&beef_subject(&again)->tx.id, &f.child_id));
        assert_written(&again, &raw);
        beef_clear(&again);
        beef_clear(&b);
        buf_clear(&raw);
    }
    family_clear(&f);
}

/* Behaviour 87: V1 tells the form after the transaction, V2 before it. */
static void the_form_stands_after_or_before_the_transaction(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    struct buf raw;
    make_family(&f);
    for (int version = 1; version <= 2; version++) {
        beef_init(&b, version == 1 ? BEEF_V1 : BEEF_V2);
        add_tx(&b, &f.child);
        buf_init(&raw);
        beef_write(&raw, &b);
        assert_int_equal(raw.len, 4 + 2 + f.child.len + 1);
        assert_memory_equal(raw.data, version == 1 ? "\x01\x00\xbe\xef" : "\x02\x00\xbe\xef", 4);
        assert_memory_equal(raw.data + 6 + (version == 2), f.child.data, f.child.len);
        assert_int_equal(raw.data[version == 1 ? raw.len - 1 : 6], 0);
        buf_clear(&raw);
        beef_clear(&b);
    }
    family_clear(&f);
}

static void an_id_alone_stands_for_a_known_parent(void **state)
{
    (void)state;
    struct family f;
    struct beef b, again;
    struct buf raw;
    make_family(&f);
    beef_init(&b, BEEF_V2);
    add_tx(&b, &f.parent);
    add_tx(&b, &f.child);
    b.tx[0].form = BEEF_ID_ALONE;
    assert_good(&b);
    buf_init(&raw);
    beef_write(&raw, &b);
    assert_int_equal(raw.len, 4 + 2 + 33 + 1 + f.child.len);
    assert_int_equal(read_all(&raw, &again), OK);
    assert_int_equal(again.tx[0].form, BEEF_ID_ALONE);
    assert_good(&again);
    beef_clear(&again);
    raw.data[0] = 1; /* V1 knows no such thing */
    assert_int_equal(read_all(&raw, &again), ERR_PARSE);
    beef_clear(&b);
    buf_clear(&raw);
    family_clear(&f);
}

/* --- structure -------------------------------------------------------------------------------- */

static void parents_stand_before_children(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    beef_init(&b, BEEF_V1);
    add_grand(&b, &f);
    add_tx(&b, &f.child);
    add_tx(&b, &f.parent);
    assert_fault(&b, "BEEF: a parent stands behind its child");
    beef_clear(&b);
    family_clear(&f);
}

/* Both are parents of the last, which is what the SDKs of BSV write for inputs in that order. */
static void what_has_a_proof_may_stand_before_what_it_spends(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    for (int atomic = 0; atomic <= 1; atomic++) {
        struct tx_in in[2] = { { .prevout = { f.grand_id, 0 }, .sequence = TX_SEQUENCE_FINAL },
                               { .prevout = { f.parent_id, 0 }, .sequence = TX_SEQUENCE_FINAL } };
        struct tx_out to = { .value = 5, .script = span_of("Q", 1) };
        const struct tx last = { .version = 1, .n_in = 2, .n_out = 1, .in = in, .out = &to };
        struct buf raw;
        buf_init(&raw);
        tx_write(&raw, &last);
        beef_init(&b, BEEF_V1);
        b.atomic = atomic;
        size_t bump = add_proof(&b, &f.parent_id, 101, 8);
        assert_int_equal(beef_add_proved(&b, buf_span(&f.parent), bump, NULL), OK);
        add_grand(&b, &f);
        add_tx(&b, &raw);
        b.subject = b.tx[2].tx.id;
        assert_good(&b);
        beef_clear(&b);
        buf_clear(&raw);
    }
    family_clear(&f);
}

static void what_has_no_proof_spends_what_is_there(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    struct buf raw;
    struct txid id;
    make_family(&f);
    beef_init(&b, BEEF_V1);
    add_grand(&b, &f);
    add_tx(&b, &f.child);
    assert_fault(&b, "BEEF: an input of a transaction without proof spends what is not there");
    beef_clear(&b);

    make_tx(&raw, &id, &f.grand_id, 1);
    beef_init(&b, BEEF_V1);
    add_grand(&b, &f);
    add_tx(&b, &raw);
    assert_fault(&b, "BEEF: an input spends an output that its parent does not have");
    beef_clear(&b);
    buf_clear(&raw);

    raw = unhex("01000000" "00" "01" "0500000000000000" "0151" "00000000");
    beef_init(&b, BEEF_V1);
    add_tx(&b, &raw);
    assert_fault(&b, "BEEF: a transaction has no inputs");
    beef_clear(&b);
    buf_clear(&raw);
    beef_init(&b, BEEF_V1);
    assert_fault(&b, "BEEF: there is no transaction");
    family_clear(&f);
}

static void no_transaction_is_there_twice(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    make_beef(&b, &f, BEEF_V1);
    add_tx(&b, &f.parent);
    assert_fault(&b, "BEEF: a transaction is there twice");
    beef_clear(&b);
    family_clear(&f);
}

static void a_proof_is_of_its_transaction(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    beef_init(&b, BEEF_V1);
    size_t bump = add_proof(&b, &f.parent_id, 100, 7);
    assert_int_equal(beef_add_proved(&b, buf_span(&f.grand), bump, NULL), OK);
    assert_fault(&b, "BEEF: a transaction is not in its proof");
    beef_clear(&b);
    make_beef(&b, &f, BEEF_V1);
    b.bump[0].level[1].n = 0; /* a proof that leads nowhere */
    assert_fault(&b, "BUMP: a hash is missing");
    beef_clear(&b);
    family_clear(&f);
}

/* It may be an inner node of a block's tree (attacks A4). */
static void a_proved_transaction_has_not_64_bytes(void **state)
{
    (void)state;
    struct buf raw = unhex("01000000" "01"
                           "0000000000000000000000000000000000000000000000000000000000000001"
                           "00000000" "03000000" "ffffffff" "01" "0000000000000000" "0151"
                           "00000000");
    struct txid id;
    struct beef b;
    assert_int_equal(raw.len, 64);
    sha256d(id.b, raw.data, raw.len);
    beef_init(&b, BEEF_V2);
    size_t bump = add_proof(&b, &id, 100, 7);
    assert_int_equal(beef_add_proved(&b, buf_span(&raw), bump, NULL), OK);
    assert_fault(&b, "BEEF: a transaction of 64 bytes has a proof");
    beef_clear(&b);
    buf_clear(&raw);
}

static void proofs_of_one_height_agree(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    make_beef(&b, &f, BEEF_V1);
    add_proof(&b, &f.parent_id, 101, 8);
    assert_good(&b);
    b.bump[1].height = 100;
    assert_fault(&b, "BEEF: two proofs of one height disagree");
    beef_clear(&b);
    family_clear(&f);
}

static void the_atomic_form_holds_ancestors_alone(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    struct buf stranger;
    struct txid id;
    make_family(&f);
    make_beef(&b, &f, BEEF_V1);
    b.atomic = true;
    b.subject = f.parent_id;
    assert_fault(&b, "BEEF: a transaction is unrelated to the subject");
    b.subject.b[0] ^= 1;
    assert_fault(&b, "BEEF: the subject is missing");
    assert_null(beef_subject(&b));
    b.subject = f.child_id;
    assert_good(&b);
    make_tx(&stranger, &id, &f.grand_id, 0);
    stranger.data[0] = 2; /* another version, so not the parent */
    add_tx(&b, &stranger);
    assert_fault(&b, "BEEF: a transaction is unrelated to the subject");
    b.atomic = false;
    assert_good(&b);
    beef_clear(&b);
    buf_clear(&stranger);
    family_clear(&f);
}

/* --- format ----------------------------------------------------------------------------------- */

static void what_is_no_beef_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0100bee0", "0100beef", "0300beef" "00" "00", "0100beef" "00", "0100beef" "00" "00"
        "00", "01010101" "0100beef" "00" "00", "0100beef" "00" "01" "01000000" "00" "00" "00000000"
        "02", "0100beef" "00" "01" "01000000" "00" "00" "00000000" "0100",
        /* a proof that is not there */
        "0200beef" "00" "01" "0100" "01000000" "00" "00" "00000000",
        "0200beef" "00" "01" "03" "01000000" "00" "00" "00000000",
        "0200beef" "00" "01" "02" "0102",
        "0200beef" "feffffffff" "00", "0200beef" "00" "feffffffff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf raw = unhex(bad[i]);
        struct beef b;
        assert_int_equal(read_all(&raw, &b), ERR_PARSE);
        buf_clear(&raw);
    }
}

/* A BEEF with so many proofs of one transaction each and so many ids. */
static enum err read_many(size_t bumps, size_t txs, size_t padding)
{
    struct buf raw = unhex("0200beef");
    struct buf bump =
        unhex("01010100021111111111111111111111111111111111111111111111111111111111111111");
    struct beef b;
    struct reader r;
    buf_put_compact(&raw, bumps);
    for (size_t i = 0; i < bumps; i++)
        buf_put(&raw, bump.data, bump.len);
    buf_put_compact(&raw, txs);
    for (size_t i = 0; i < txs; i++) {
        buf_put_u8(&raw, BEEF_ID_ALONE);
        memset(buf_extend(&raw, 32), 1, 32);
    }
    memset(buf_extend(&raw, padding), 0, padding);
    reader_init(&r, raw.data, raw.len);
    enum err rc = beef_read(&r, &b, NULL);
    if (!rc)
        beef_clear(&b);
    buf_clear(&raw);
    buf_clear(&bump);
    return rc;
}

static void limits_hold(void **state)
{
    (void)state;
    assert_int_equal(read_many(BEEF_BUMPS_MAX, BEEF_TXS_MAX, 0), OK);
    assert_int_equal(read_many(BEEF_BUMPS_MAX + 1, 1, 0), ERR_RANGE);
    assert_int_equal(read_many(0, BEEF_TXS_MAX + 1, 0), ERR_RANGE);
    assert_int_equal(read_many(0, 1, BEEF_BYTES_MAX), ERR_RANGE);
}

static void only_whole_transactions_are_added(void **state)
{
    (void)state;
    struct family f;
    struct beef b;
    make_family(&f);
    beef_init(&b, BEEF_V1);
    assert_int_equal(beef_add_tx(&b, span_of(f.grand.data, f.grand.len - 1), NULL), ERR_PARSE);
    buf_put_u8(&f.grand, 0);
    assert_int_equal(beef_add_tx(&b, buf_span(&f.grand), NULL), ERR_PARSE);
    assert_int_equal(b.n_txs, 0);
    beef_clear(&b);
    family_clear(&f);
}

/* --- vectors ---------------------------------------------------------------------------------- */

static void read_known(const char *hex, struct beef *b, struct buf *raw)
{
    *raw = unhex(hex);
    assert_int_equal(read_all(raw, b), OK);
    assert_written(b, raw);
}

static void check_known(const char *hex, struct beef *b, struct buf *raw)
{
    read_known(hex, b, raw);
    assert_good(b);
}

/* The file says what is read. Its BEEF is a good one by the format alone: the transaction with the
 * proof stands behind the one that spends it. */
static void the_format_of_known_beefs_is_read(void **state)
{
    (void)state;
    struct json_object *rows = vector_json("spv/beef_valid.json");
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct beef b;
        struct buf raw;
        read_known(json_str(row, "hex"), &b, &raw);
        assert_int_equal(b.version == BEEF_V1 ? 1 : 2, json_int(row, "version", 0));
        assert_int_equal(b.n_bumps, json_int(row, "bump_count", -1));
        assert_int_equal(b.n_txs, json_int(row, "tx_count", -1));
        if (b.tx[0].form == BEEF_PLAIN)
            assert_fault(&b, "BEEF: a parent stands behind its child");
        else
            assert_good(&b);
        beef_clear(&b);
        buf_clear(&raw);
    }
    json_object_put(rows);
    vector_report("spv/beef_valid.json", n);
}

static void beefs_of_the_sdk_are_taken(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spv/beef-isvalid-hydration.json"),
                       *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct beef b;
        struct buf raw;
        check_known(json_str(json_get(json_object_array_get_idx(rows, i), "input"), "beef_hex"), &b,
                    &raw);
        assert_non_null(beef_subject(&b));
        beef_clear(&b);
        buf_clear(&raw);
    }
    json_object_put(file);
    vector_report("spv/beef-isvalid-hydration.json", n);
}

/* A format with nothing in it: read (the file has a byte behind it), but no BEEF of a
 * transaction. */
static void an_empty_beef_has_no_subject(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spv/beef-v2-txid-panic.json"), *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct buf raw = unhex(json_str(json_get(row, "input"), "beef_hex"));
        struct json_object *id_known = json_get(json_get(row, "expected"), "txid_non_null");
        struct reader r;
        struct beef b;
        reader_init(&r, raw.data, raw.len);
        assert_int_equal(beef_read(&r, &b, NULL), OK);
        assert_int_equal(b.version, BEEF_V2);
        assert_int_equal(beef_subject(&b) != NULL, json_object_get_boolean(id_known));
        if (!beef_subject(&b))
            assert_fault(&b, "BEEF: there is no transaction");
        beef_clear(&b);
        buf_clear(&raw);
    }
    json_object_put(file);
    vector_report("spv/beef-v2-txid-panic.json", n);
}

/* The row that says that a plain BEEF is not an atomic one. */
static void a_plain_beef_is_not_atomic(void **state)
{
    (void)state;
    struct json_object *file = vector_json("transactions/serialization.json"),
                       *rows = json_rows(file);
    const size_t n = json_object_array_length(rows);
    size_t run = 0;
    for (size_t i = 0; i < n; i++) {
        const char *hex =
            json_str(json_get(json_object_array_get_idx(rows, i), "input"), "beef_hex");
        struct beef b;
        struct buf raw;
        if (!hex)
            continue;
        check_known(hex, &b, &raw);
        assert_false(b.atomic);
        beef_clear(&b);
        buf_clear(&raw);
        run++;
    }
    json_object_put(file);
    vector_report_part("transactions/serialization.json", n, run);
}

/* The example of BRC-62, alone and in the atomic form (spec brc-notes 7). */
static void the_example_of_the_specification_is_taken(void **state)
{
    (void)state;
    static const char subject[] =
        "157428aee67d11123203735e4c540fa1bdab3b36d5882c6f8c5ff79f07d20d1c";
    struct json_object *file = vector_json("spec/brc_examples.json");
    struct beef b;
    struct buf raw;
    struct bump_top top;
    char text[HASH_HEX_SIZE];
    check_known(json_str(file, "brc62_beef_example"), &b, &raw);
    assert_int_equal(b.bump[0].height, 814435);
    assert_int_equal(bump_climb(&b.bump[0], &top, NULL), OK);
    assert_string_equal(hash_to_hex(text, top.root.b),
                        "bb6f640cc4ee56bf38eb5a1969ac0c16caa2d3d202b22bf3735d10eec0ca6e00");
    assert_subject(&b, subject);
    b.atomic = true;
    assert_true(hash_from_hex(b.subject.b, subject));
    assert_good(&b);
    beef_clear(&b);
    buf_clear(&raw);
    json_object_put(file);
    vector_report("spec/brc_examples.json", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_versions_round_trip),
        cmocka_unit_test(the_form_stands_after_or_before_the_transaction),
        cmocka_unit_test(an_id_alone_stands_for_a_known_parent),
        cmocka_unit_test(parents_stand_before_children),
        cmocka_unit_test(what_has_a_proof_may_stand_before_what_it_spends),
        cmocka_unit_test(what_has_no_proof_spends_what_is_there),
        cmocka_unit_test(no_transaction_is_there_twice),
        cmocka_unit_test(a_proof_is_of_its_transaction),
        cmocka_unit_test(a_proved_transaction_has_not_64_bytes),
        cmocka_unit_test(proofs_of_one_height_agree),
        cmocka_unit_test(the_atomic_form_holds_ancestors_alone),
        cmocka_unit_test(what_is_no_beef_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(only_whole_transactions_are_added),
        cmocka_unit_test(the_format_of_known_beefs_is_read),
        cmocka_unit_test(beefs_of_the_sdk_are_taken),
        cmocka_unit_test(an_empty_beef_has_no_subject),
        cmocka_unit_test(a_plain_beef_is_not_atomic),
        cmocka_unit_test(the_example_of_the_specification_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
