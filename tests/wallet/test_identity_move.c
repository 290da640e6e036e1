/* An identity in a file, and how it goes from one wallet to another: what a failed write or a crash
 * at any call leaves, and that one wallet at a time goes on with it. */
#include <config.h>

#include "wallet/identity_move.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "bca/verify.h"
#include "tests/fault/preload.h"
#include "tests/wallet/identity_util.h"
#include "wallet/identity_file.h"

enum { MODIFIERS = 4, USED = 2 };
static const struct wallet_new anew = { .phrase = NULL };
static const struct span no_passphrase = { NULL, 0 };

/* A wallet with alice, of whom two addresses were formed, and one without. */
struct fixture {
    struct rig from, to;
    struct identity id;
    char *dir, *path;
};

static enum err form_next(struct wallet *w, const char *name, struct identity_address *a,
                          struct error *e)
{
    struct identity id;
    struct identity_secrets s;
    bool found;
    identity_init(&id);
    enum err rc = identity_load(wallet_keystore(w), name, &id, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "no identity");
    if (!rc)
        rc = identity_get_secrets(wallet_keystore(w), &id, &s, e);
    if (!rc)
        rc = identity_new_address(wallet_keystore(w), &id, &s, &identity_form, a, e);
    identity_clear(&id);
    return rc;
}

static void use_some(struct wallet *w, struct identity *id)
{
    struct identity_address a;
    bool found;
    identity_address_init(&a);
    for (int i = 0; i < USED; i++)
        assert_int_equal(form_next(w, "alice", &a, NULL), OK);
    assert_int_equal(identity_load(wallet_keystore(w), "alice", id, &found, NULL), OK);
    identity_address_clear(&a);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->from = rig_start(&from_phrase);
    f->to = rig_start(&anew);
    f->dir = test_dir_make();
    f->path = path_join(f->dir, "alice.bca");
    identity_init(&f->id);
    mined_identity(f->from.w, "alice", MODIFIERS, &f->id);
    use_some(f->from.w, &f->id);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    identity_clear(&f->id);
    rig_stop(&f->from);
    rig_stop(&f->to);
    test_dir_remove(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static enum err export_from(struct wallet *w, const struct identity *id, const char *path,
                            struct error *e)
{
    struct identity_export how = { .path = path, .network = BCA_NET_REGTEST };
    return identity_export(w, id, &how, e);
}

static enum err import_as(struct wallet *w, const char *path, const char *name, struct error *e)
{
    struct identity_import how = { .path = path, .network = BCA_NET_REGTEST, .name = name };
    identity_init(&how.id);
    const enum err rc = identity_import(w, &how, e);
    identity_clear(&how.id);
    return rc;
}

static enum identity_use use_in(struct wallet *w, unsigned *unused)
{
    struct identity id;
    bool found;
    identity_init(&id);
    assert_int_equal(identity_load(wallet_keystore(w), "alice", &id, &found, NULL), OK);
    assert_true(found);
    *unused = id.n_modifiers - id.n_used;
    const enum identity_use use = id.use;
    identity_clear(&id);
    return use;
}

/* --- moving ---------------------------------------------------------------------------------- */

static enum err count_address(void *ctx, const struct identity_address *a, struct error *e)
{
    (void)e;
    ((unsigned *)ctx)[a->modifier]++;
    return OK;
}

static void who_imports_goes_on_with_the_next_modifier(void **state)
{
    struct fixture *f = *state;
    const struct bca_policy policy = { .rules = bca_rules_get(BCA_NET_REGTEST) };
    unsigned seen[BCA_MODIFIERS_MAX] = { 0 }, unused;
    struct identity_address a;
    struct bca_verdict v;
    struct error e = { .code = OK };
    identity_address_init(&a);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_MOVED);
    assert_int_equal(form_next(f->from.w, "alice", &a, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "moved"));
    assert_int_equal(import_as(f->to.w, f->path, "al", NULL), OK);
    rig_reopen(&f->to);
    assert_int_equal(identity_each_address(wallet_keystore(f->to.w), count_address, seen, NULL),
                     OK);
    assert_int_equal(seen[0] + seen[1], USED);
    assert_int_equal(form_next(f->to.w, "al", &a, NULL), OK);
    assert_int_equal(a.modifier, USED);
    assert_string_equal(a.name, "al");
    bca_verify(a.address, buf_span(&a.params), &policy, &v);
    assert_int_equal(v.result, BCA_VALID);
    assert_memory_equal(v.params.public_key, f->id.public_key, sizeof f->id.public_key);
    identity_address_clear(&a);
}

/* Nor one with another collision count. */
static void no_address_is_stored_of_what_has_moved(void **state)
{
    struct fixture *f = *state;
    struct identity_address a, next;
    struct error e = { .code = OK };
    bool found;
    identity_address_init(&a);
    identity_address_init(&next);
    assert_int_equal(form_next(f->from.w, "alice", &a, NULL), OK);
    assert_int_equal(identity_collided(&a, &next, NULL), OK);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(identity_store_address(wallet_keystore(f->from.w), &next, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "moved"));
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), OK);
    assert_int_equal(identity_store_address(wallet_keystore(f->to.w), &next, NULL), OK);
    assert_int_equal(identity_load_address(wallet_keystore(f->from.w), next.address, &a, &found,
                                           NULL), OK);
    assert_false(found);
    identity_address_clear(&a);
    identity_address_clear(&next);
}

static void the_marker_is_watched_and_no_coin_to_spend(void **state)
{
    struct fixture *f = *state;
    struct wallet_key k;
    const struct span marker = span_of(f->id.marker, sizeof f->id.marker);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), OK);
    assert_true(wallet_find_key(f->to.w, marker, &k));
    assert_false(k.spendable);
    rig_reopen(&f->to);
    assert_true(wallet_find_key(f->to.w, marker, &k));
}

static void it_comes_back_by_a_later_file_alone(void **state)
{
    struct fixture *f = *state;
    char *back = path_join(f->dir, "back.bca");
    unsigned unused;
    struct identity_address a;
    struct identity there;
    bool found;
    identity_init(&there);
    identity_address_init(&a);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(import_as(f->from.w, f->path, NULL, NULL), ERR_EXISTS);
    assert_int_equal(import_as(f->from.w, f->path, "bob", NULL), ERR_EXISTS);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), OK);
    assert_int_equal(form_next(f->to.w, "alice", &a, NULL), OK);
    assert_int_equal(identity_load(wallet_keystore(f->to.w), "alice", &there, &found, NULL), OK);
    assert_int_equal(export_from(f->to.w, &there, back, NULL), OK);
    assert_int_equal(import_as(f->from.w, f->path, NULL, NULL), ERR_EXISTS);
    assert_int_equal(import_as(f->from.w, back, NULL, NULL), OK);
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_OPEN);
    assert_int_equal(unused, MODIFIERS - USED - 1);
    identity_address_clear(&a);
    identity_clear(&there);
    free(back);
}

struct exporter {
    pthread_barrier_t *start;
    const struct fixture *f;
    char *path;
    enum err rc;
};

static void *export_with_others(void *arg)
{
    struct exporter *x = arg;
    pthread_barrier_wait(x->start);
    x->rc = export_from(x->f->from.w, &x->f->id, x->path, NULL);
    return NULL;
}

/* Two files of one step would be imported by two wallets. */
static void of_exports_at_once_one_makes_a_file(void **state)
{
    enum { N = 4 };
    struct fixture *f = *state;
    struct exporter all[N];
    pthread_t threads[N];
    pthread_barrier_t start;
    unsigned done = 0, files = 0;
    char name[] = "0.bca";
    pthread_barrier_init(&start, NULL, N);
    for (int i = 0; i < N; i++, name[0]++) {
        all[i] = (struct exporter){ &start, f, path_join(f->dir, name), OK };
        assert_int_equal(pthread_create(&threads[i], NULL, export_with_others, &all[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        done += all[i].rc == OK;
        files += path_exists(all[i].path);
        free(all[i].path);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(done, 1);
    assert_int_equal(files, 1);
}

static void what_was_restored_does_not_move(void **state)
{
    struct fixture *f = *state;
    struct error e = { .code = OK };
    unsigned unused;
    assert_int_equal(identity_mark_restored(wallet_keystore(f->from.w), NULL), OK);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "restored"));
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_RESTORED);
    assert_false(path_exists(f->path));
}

static void imported_keys_are_sealed_by_a_later_passphrase(void **state)
{
    struct fixture *f = *state;
    struct keystore *ks = wallet_keystore(f->to.w);
    struct identity_address a;
    struct error e = { .code = OK };
    identity_address_init(&a);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), OK);
    assert_int_equal(keystore_encrypt(ks, text_span("secret"), NULL), OK);
    assert_int_equal(form_next(f->to.w, "alice", &a, NULL), ERR_AUTH);
    assert_int_equal(keystore_unlock(ks, text_span("secret"), wallet_test_now() + 60, NULL), OK);
    assert_int_equal(form_next(f->to.w, "alice", &a, NULL), OK);
    keystore_lock(ks);
    struct identity there;
    bool found;
    identity_init(&there);
    assert_int_equal(identity_load(ks, "alice", &there, &found, NULL), OK);
    char *more = path_join(f->dir, "more.bca");
    assert_int_equal(export_from(f->to.w, &there, more, &e), ERR_AUTH);
    assert_false(path_exists(more));
    identity_clear(&there);
    identity_address_clear(&a);
    free(more);
}

static void an_encrypted_wallet_seals_what_it_exports(void **state)
{
    struct fixture *f = *state;
    struct keystore *ks = wallet_keystore(f->from.w);
    struct identity_export how = { .path = f->path, .network = BCA_NET_REGTEST };
    struct buf content = { 0 };
    unsigned unused;
    assert_int_equal(keystore_encrypt(ks, text_span("secret"), NULL), OK);
    assert_int_equal(identity_export(f->from.w, &f->id, &how, NULL), ERR_AUTH);
    assert_false(how.no_passphrase);
    assert_int_equal(keystore_unlock(ks, text_span("secret"), wallet_test_now() + 60, NULL), OK);
    assert_int_equal(identity_export(f->from.w, &f->id, &how, NULL), ERR_RANGE);
    assert_true(how.no_passphrase);
    assert_false(path_exists(f->path));
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_OPEN);
    how.passphrase = text_span("of the file");
    assert_int_equal(identity_export(f->from.w, &f->id, &how, NULL), OK);
    assert_false(how.no_passphrase);
    assert_int_equal(file_read_all(f->path, IDENTITY_FILE_MAX, &content, NULL), OK);
    assert_null(memmem(content.data, content.len, f->id.public_key, sizeof f->id.public_key));
    buf_clear(&content);
}

/* Others may use modifiers until the wallet is locked for the first step. */
static void what_is_left_is_counted_when_no_more_can_be_used(void **state)
{
    struct fixture *f = *state;
    struct identity_export how = { .path = f->path, .network = BCA_NET_REGTEST };
    struct identity_address a;
    identity_address_init(&a);
    assert_int_equal(f->id.n_used, USED);
    assert_int_equal(form_next(f->from.w, "alice", &a, NULL), OK);
    assert_int_equal(identity_export(f->from.w, &f->id, &how, NULL), OK);
    assert_int_equal(how.unused, MODIFIERS - USED - 1);
    identity_address_clear(&a);
}

static void a_locked_wallet_imports_nothing(void **state)
{
    struct fixture *f = *state;
    bool found;
    struct identity there;
    identity_init(&there);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(keystore_encrypt(wallet_keystore(f->to.w), text_span("secret"), NULL), OK);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), ERR_AUTH);
    assert_int_equal(identity_load(wallet_keystore(f->to.w), "alice", &there, &found, NULL), OK);
    assert_false(found);
    identity_clear(&there);
}

/* --- the file -------------------------------------------------------------------------------- */

static struct identity_file content_of(struct fixture *f)
{
    struct identity_file file;
    struct buf bytes = { 0 };
    identity_file_init(&file);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), OK);
    assert_int_equal(file_read_all(f->path, IDENTITY_FILE_MAX, &bytes, NULL), OK);
    assert_int_equal(identity_file_read(&file, buf_span(&bytes), wallet_test_params.magic,
                                        BCA_NET_REGTEST, no_passphrase, NULL), OK);
    buf_clear(&bytes);
    return file;
}

static enum err read_back(const struct identity_file *file, struct span sealed_with,
                          struct span opened_with)
{
    struct identity_file again;
    struct buf bytes = { 0 };
    identity_file_init(&again);
    assert_int_equal(identity_file_write(&bytes, file, wallet_test_params.magic, sealed_with,
                                         &wallet_test_params.scrypt, NULL), OK);
    const enum err rc = identity_file_read(&again, buf_span(&bytes), wallet_test_params.magic,
                                           BCA_NET_REGTEST, opened_with, NULL);
    identity_file_clear(&again);
    buf_clear(&bytes);
    return rc;
}

static void a_file_is_sealed_with_its_passphrase(void **state)
{
    struct identity_file file = content_of(*state);
    struct buf bytes = { 0 };
    const struct span secret = text_span("secret");
    assert_int_equal(read_back(&file, secret, secret), OK);
    assert_int_equal(read_back(&file, secret, text_span("Secret")), ERR_AUTH);
    assert_int_equal(read_back(&file, secret, no_passphrase), ERR_AUTH);
    assert_int_equal(identity_file_write(&bytes, &file, wallet_test_params.magic, secret,
                                         &wallet_test_params.scrypt, NULL), OK);
    assert_null(memmem(bytes.data, bytes.len, file.secrets.key, 32));
    assert_null(memmem(bytes.data, bytes.len, file.id.public_key, 33));
    buf_clear(&bytes);
    identity_file_clear(&file);
}

static void spoil(struct identity_file *file, int which)
{
    switch (which) {
    case 0: file->secrets.key[31] ^= 1; break;
    case 1: file->secrets.seed[3] ^= 1; break;
    case 2: file->secrets.marker[31] ^= 1; break;
    case 3: file->id.registration[20] ^= 1; break;
    case 4: file->id.marker[7] ^= 1; break;
    case 5: file->id.tx.data[40] ^= 1; break;
    case 6: file->id.txid.b[0] ^= 1; break;
    case 7: file->id.header[40] ^= 1; break;
    case 8: file->id.tx_index = 1; break;
    case 9: file->id.use = IDENTITY_OPEN; break;
    case 10: file->id.mined = false; break;
    case 11: file->id.n_used = 1; break;
    case 12: file->id.n_modifiers = 8; break;
    case 13: file->addresses[0].address[15] ^= 1; break;
    case 14: file->addresses[0].modifier ^= 1; break;
    case 15: file->addresses[0].header[0] ^= 1; break;
    case 16: file->addresses[0].params.data[5] ^= 1; break;
    case 17: file->addresses[0].name[0] = 'b'; break;
    default: break;
    }
}
enum { SPOILT = 18 };

/* All checksums are right: a file may have been made by somebody. */
static void what_does_not_belong_together_is_refused(void **state)
{
    struct identity_file file = content_of(*state);
    struct fixture *f = *state;
    assert_int_equal(file.n, USED);
    assert_int_equal(read_back(&file, no_passphrase, no_passphrase), OK);
    for (int i = 0; i < SPOILT; i++) {
        struct identity_file spoilt;
        struct buf bytes = { 0 };
        identity_file_init(&spoilt);
        assert_int_equal(file_read_all(f->path, IDENTITY_FILE_MAX, &bytes, NULL), OK);
        assert_int_equal(identity_file_read(&spoilt, buf_span(&bytes), wallet_test_params.magic,
                                            BCA_NET_REGTEST, no_passphrase, NULL), OK);
        spoil(&spoilt, i);
        if (read_back(&spoilt, no_passphrase, no_passphrase) != ERR_CORRUPT)
            fail_msg("what was spoilt as %d was taken", i);
        identity_file_clear(&spoilt);
        buf_clear(&bytes);
    }
    identity_file_clear(&file);
}

static void a_file_cut_short_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity_file file = content_of(f);
    struct buf bytes = { 0 };
    assert_int_equal(file_read_all(f->path, IDENTITY_FILE_MAX, &bytes, NULL), OK);
    for (size_t n = 0; n < bytes.len; n += 13) {
        struct identity_file cut;
        identity_file_init(&cut);
        assert_int_not_equal(identity_file_read(&cut, span_of(bytes.data, n),
                                                wallet_test_params.magic, BCA_NET_REGTEST,
                                                no_passphrase, NULL), OK);
        identity_file_clear(&cut);
    }
    identity_file_clear(&file);
    buf_clear(&bytes);
}

/* --- writes that fail ------------------------------------------------------------------------ */

/* The store does not take the n-th write of an export. */
static void export_with_failure(struct fixture *f, unsigned n)
{
    unsigned unused;
    if (n == 0)
        kv_mem_fail_writes(f->from.keys, 1);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), n == 0 ? ERR_IO : OK);
    kv_mem_fail_writes(f->from.keys, 0);
    rig_reopen(&f->from);
    if (n == 0) {
        assert_int_equal(use_in(f->from.w, &unused), IDENTITY_OPEN);
        assert_false(path_exists(f->path));
    }
}

static void a_write_that_fails_moves_nothing(void **state)
{
    struct fixture *f = *state;
    struct identity there;
    bool found;
    identity_init(&there);
    export_with_failure(f, 0);
    export_with_failure(f, 1);
    kv_mem_fail_writes(f->to.keys, 1);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), ERR_IO);
    kv_mem_fail_writes(f->to.keys, 0);
    rig_reopen(&f->to);
    assert_int_equal(identity_load(wallet_keystore(f->to.w), "alice", &there, &found, NULL), OK);
    assert_false(found);
    assert_int_equal(import_as(f->to.w, f->path, NULL, NULL), OK);
    identity_clear(&there);
}

static void a_file_that_cannot_be_made_moves_nothing(void **state)
{
    struct fixture *f = *state;
    unsigned unused;
    char *nowhere = path_join(f->dir, "no/such/place");
    assert_int_equal(export_from(f->from.w, &f->id, nowhere, NULL), ERR_IO);
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_OPEN);
    assert_int_equal(file_replace(f->path, "x", 1, NULL), OK);
    assert_int_equal(export_from(f->from.w, &f->id, f->path, NULL), ERR_EXISTS);
    assert_int_equal(use_in(f->from.w, &unused), IDENTITY_OPEN);
    free(nowhere);
}

/* --- a crash at any call --------------------------------------------------------------------- */

struct place {
    char *wallet, *file, *other;
};

static struct place place_of(const char *dir)
{
    return (struct place){ path_join(dir, "victim/w"), path_join(dir, "victim/alice.bca"),
                           path_join(dir, "other.bca") };
}

static void place_clear(struct place *p)
{
    free(p->wallet);
    free(p->file);
    free(p->other);
}

static void prepare(const struct place *p)
{
    struct wallet *w;
    struct identity id;
    identity_init(&id);
    assert_int_equal(wallet_create(&w, p->wallet, "w", &wallet_test_params, &from_phrase, NULL),
                     OK);
    mined_identity(w, "alice", MODIFIERS, &id);
    use_some(w, &id);
    identity_clear(&id);
    wallet_unref(w);
}

static enum err export_at(struct wallet *w, const char *path)
{
    struct identity id;
    bool found;
    identity_init(&id);
    enum err rc = identity_load(wallet_keystore(w), "alice", &id, &found, NULL);
    if (!rc)
        rc = export_from(w, &id, path, NULL);
    identity_clear(&id);
    return rc;
}

static int child(const char *dir)
{
    struct place p = place_of(dir);
    struct wallet *w = NULL;
    enum err rc = wallet_open(&w, p.wallet, "w", &wallet_test_params, NULL);
    if (!rc)
        rc = export_at(w, p.file);
    wallet_unref(w);
    place_clear(&p);
    return rc ? 1 : 0;
}

static unsigned met[IDENTITY_USES]; /* after the crashes so far */

/* Which file has it at last: exporting comes to its end. */
static const char *finish(struct wallet *w, const struct place *p)
{
    unsigned unused;
    const enum identity_use use = use_in(w, &unused);
    assert_int_equal(unused, MODIFIERS - USED);
    met[use]++;
    if (use == IDENTITY_MOVED)
        return p->file;
    assert_true(use == IDENTITY_MOVING || !path_exists(p->file));
    if (export_at(w, p->file) == OK)
        return p->file;
    assert_int_equal(export_at(w, p->other), OK);
    return p->other;
}

static void check_sound(const char *dir)
{
    struct place p = place_of(dir);
    struct rig to = rig_start(&anew);
    struct wallet *w;
    struct identity_address a;
    unsigned unused;
    identity_address_init(&a);
    assert_int_equal(wallet_open(&w, p.wallet, "w", &wallet_test_params, NULL), OK);
    const char *file = finish(w, &p);
    assert_int_equal(use_in(w, &unused), IDENTITY_MOVED);
    assert_int_not_equal(form_next(w, "alice", &a, NULL), OK);
    assert_int_equal(import_as(to.w, file, NULL, NULL), OK);
    assert_int_equal(form_next(to.w, "alice", &a, NULL), OK);
    assert_int_equal(a.modifier, USED);
    identity_address_clear(&a);
    wallet_unref(w);
    rig_stop(&to);
    place_clear(&p);
}

static int run_child(const char *setting, const char *counts)
{
    char *dir = test_dir_make();
    struct place p = place_of(dir);
    prepare(&p);
    const int status = fault_run("child", dir, setting, "victim", counts);
    check_sound(dir);
    place_clear(&p);
    test_dir_remove(dir);
    return status;
}

static unsigned long count_calls(void)
{
    char *dir = test_dir_make(), *file = path_join(dir, "counts");
    assert_int_equal(run_child(NULL, file), 0);
    const unsigned long n = fault_counted(file);
    free(file);
    test_dir_remove(dir);
    return n;
}

/* Each call costs what a disk takes for a dozen syncs. */
static bool is_long(void)
{
    return getenv("BSVPEER_LONG") != NULL;
}

/* The calls of opening come first, and are those of every wallet: the last ones count here. */
static void at_late_calls(const char *what, int wanted)
{
    enum { LATE = 14 };
    const unsigned long calls = count_calls(), step = is_long() ? 1 : 2;
    unsigned ended = 0;
    memset(met, 0, sizeof met);
    for (unsigned long n = calls > LATE ? calls - LATE : 1; n <= calls; n += step) {
        char setting[64];
        snprintf(setting, sizeof setting, "any:%lu:%s", n, what);
        const int status = run_child(setting, NULL);
        ended += status == wanted;
        if (status != wanted && status != 0)
            fail_msg("call %lu of %lu: exit status %d", n, calls, status);
    }
    print_message("%s: %u of %lu calls\n", what, ended, calls);
    assert_true(ended >= 5);
}

static void a_crash_at_any_call_loses_neither_identity_nor_modifiers(void **state)
{
    (void)state;
    fault_need();
    at_late_calls("exit", FAULT_KILLED);
    assert_true(met[IDENTITY_OPEN] && met[IDENTITY_MOVING] && met[IDENTITY_MOVED]);
}

static void a_full_disk_at_any_call_loses_neither_identity_nor_modifiers(void **state)
{
    (void)state;
    fault_need();
    if (!is_long())
        skip();
    at_late_calls("ENOSPC", 1);
    assert_true(met[IDENTITY_OPEN] && met[IDENTITY_MOVING]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    ec_init();
    if (argc == 3)
        return child(argv[2]);
    const struct CMUnitTest tests[] = {
        T(who_imports_goes_on_with_the_next_modifier),
        T(no_address_is_stored_of_what_has_moved),
        T(the_marker_is_watched_and_no_coin_to_spend),
        T(it_comes_back_by_a_later_file_alone),
        T(of_exports_at_once_one_makes_a_file),
        T(what_was_restored_does_not_move),
        T(imported_keys_are_sealed_by_a_later_passphrase),
        T(an_encrypted_wallet_seals_what_it_exports),
        T(what_is_left_is_counted_when_no_more_can_be_used),
        T(a_locked_wallet_imports_nothing),
        T(a_file_is_sealed_with_its_passphrase),
        T(what_does_not_belong_together_is_refused),
        T(a_file_cut_short_is_refused),
        T(a_write_that_fails_moves_nothing),
        T(a_file_that_cannot_be_made_moves_nothing),
        cmocka_unit_test(a_crash_at_any_call_loses_neither_identity_nor_modifiers),
        cmocka_unit_test(a_full_disk_at_any_call_loses_neither_identity_nor_modifiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
