/* The private keys of a wallet as a text file, in the reference's form, and back. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/file.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/keys.h"
#include "rpc/wallet_call.h"
#include "wallet/mnemonic.h"

#define OF_PAYMENT "payment=1" /* the key came with a payment (struct wallet_key) */
#define DUMP_MAX_BYTES ((size_t)64 << 20)
#define LINE_MAX_BYTES 1024 /* without the label */

/* --- dumpwallet ----------------------------------------------------------------------------- */

struct dump {
    struct rpc_call *call;
    struct wallet *w;
    struct buf *out; /* secret; grows by dump_room alone */
    struct buf label;
};

/* As buf_reserve, and what was there before is wiped when it moves. */
static enum err dump_room(struct buf *out, size_t more, struct error *e)
{
    struct buf larger;
    if (out->cap - out->len >= more)
        return OK;
    buf_init(&larger);
    if (out->len + more > DUMP_MAX_BYTES || !buf_try_reserve(&larger, 2 * (out->len + more)))
        return error_set(e, ERR_NOMEM, "no memory for all keys of the wallet");
    buf_put(&larger, out->data, out->len);
    buf_wipe(out);
    *out = larger;
    return OK;
}

/* Labels as one word: what is no visible ASCII, and '%', in hex. */
static void put_word(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t c = text.data[i];
        if (c <= ' ' || c >= 127 || c == '%')
            buf_printf(out, "%%%02x", c);
        else
            buf_put_u8(out, c);
    }
}

static enum err put_secret(const struct dump *d, const struct wallet_key *k, struct error *e)
{
    const struct chain_params *p = chain_get_params(d->call->env->chain);
    struct private_key secret = { .compressed = k->key_len == EC_PUBKEY_SIZE };
    char text[WIF_TEXT_MAX];
    const enum err rc = wallet_get_secret(d->w, k, secret.secret, e);
    if (!rc)
        buf_put_str(d->out, wif_encode(text, p->secret_version, &secret));
    private_key_wipe(&secret);
    secure_wipe(text, sizeof text);
    return rc;
}

static enum err dump_key(void *ctx, const struct wallet_key *k, struct span script,
                         struct error *e)
{
    struct dump *d = (struct dump *)ctx;
    char address[ADDRESS_TEXT_MAX], path[RPC_KEY_PATH_MAX];
    bool found;
    if (!k->spendable || !k->key_len)
        return OK;
    buf_reset(&d->label);
    enum err rc = keystore_get_label(wallet_keystore(d->w), script, &d->label, &found, e);
    if (!rc)
        rc = dump_room(d->out, LINE_MAX_BYTES + 3 * d->label.len, e);
    if (!rc)
        rc = put_secret(d, k, e);
    if (rc)
        return rc;
    buf_put_str(d->out, " 1970-01-01T00:00:01Z ");
    if (k->of_payment)
        buf_put_str(d->out, OF_PAYMENT " ");
    if (k->derived && k->branch == KEYSTORE_CHANGE) {
        buf_put_str(d->out, "change=1");
    } else {
        buf_put_str(d->out, "label=");
        put_word(d->out, buf_span(&d->label));
    }
    buf_printf(d->out, " # addr=%s", rpc_script_address(d->call, script, address));
    if (rpc_wallet_key_path(d->w, k, path))
        buf_printf(d->out, " hdkeypath=%s", path);
    buf_put_u8(d->out, '\n');
    return OK;
}

static enum err put_head(const struct dump *d, struct error *e)
{
    char phrase[MNEMONIC_TEXT_MAX];
    enum err rc = dump_room(d->out, LINE_MAX_BYTES, e);
    if (!rc)
        rc = wallet_phrase(d->w, phrase, sizeof phrase, e);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    buf_printf(d->out, "# Wallet dump created by bsvpeer: all keys that were given out\n");
    if (!rc)
        buf_printf(d->out, "# phrase of the wallet: %s\n", phrase);
    secure_wipe(phrase, sizeof phrase);
    buf_put_u8(d->out, '\n');
    return OK;
}

static enum err dump_all(struct rpc_call *call, struct wallet *w, const char *path,
                         struct error *e)
{
    struct buf out;
    struct dump d = { .call = call, .w = w, .out = &out };
    buf_init(&out);
    buf_init(&d.label);
    enum err rc = put_head(&d, e);
    if (!rc)
        rc = wallet_each(w, dump_key, &d, e);
    if (!rc)
        rc = dump_room(&out, LINE_MAX_BYTES, e);
    if (!rc) {
        buf_put_str(&out, "\n# End of dump\n");
        rc = file_replace_checked(path, out.data, out.len, e);
    }
    buf_clear(&d.label);
    buf_wipe(&out);
    return rc;
}

static struct rpc_result dump_wallet(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    char *path = rpc_wallet_path(call, 0);
    struct rpc_result r;
    if (path_exists(path)) {
        r = rpc_fail(call, RPC_INVALID_PARAMETER,
                     "%s already exists. If you are sure this is what you want, move it out of the "
                     "way first", path);
    } else if (dump_all(call, w, path, &e)) {
        r = rpc_wallet_fail(call, &e);
    } else {
        jw_object_open(call->out);
        jw_put_text(call->out, "filename", path);
        jw_object_close(call->out);
        r = rpc_done();
    }
    free(path);
    return r;
}

static struct rpc_result cmd_dumpwallet(struct rpc_call *call)
{
    return rpc_with_wallet(call, dump_wallet);
}

/* --- importwallet --------------------------------------------------------------------------- */

/* Decodes what put_word made, in place; the length, or SIZE_MAX. */
static size_t decode_word(char *word)
{
    size_t n = 0, len;
    for (const char *at = word; *at; at++) {
        uint8_t c = (uint8_t)*at;
        if (c == '%') {
            if (strlen(at) < 3 || !hex_decode(&c, 1, at + 1, 2, &len))
                return SIZE_MAX;
            at += 2;
        }
        word[n++] = (char)c;
    }
    return n;
}

/* Cuts the first word off: NULL at the end. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t\r");
    if (!*word)
        return NULL;
    char *end = word + strcspn(word, " \t\r");
    *at = *end ? end + 1 : end;
    *end = 0;
    return word;
}

/* Label and mark among the words after the key; false when the label is written wrongly. */
static bool find_words(char *at, struct span *label, bool *of_payment)
{
    *label = span_of(NULL, 0);
    *of_payment = false;
    for (char *word = next_word(&at); word && *word != '#'; word = next_word(&at)) {
        *of_payment |= strcmp(word, OF_PAYMENT) == 0;
        if (strncmp(word, "label=", 6) != 0)
            continue;
        const size_t len = decode_word(word + 6);
        if (len == SIZE_MAX)
            return false;
        *label = span_of(word + 6, len);
    }
    return true;
}

struct importing {
    struct rpc_call *call;
    struct wallet *w;
    size_t keys;
};

static enum err import_key(struct importing *i, const struct private_key *k, struct span label,
                           bool of_payment, struct error *e)
{
    const enum err rc =
        of_payment && k->compressed
            ? wallet_import_payment_secret(i->w, k->secret, label, 0, e)
            : wallet_import_secret(i->w, k->secret, k->compressed, label, 0, e);
    i->keys++;
    return rc == ERR_EXISTS ? OK : rc;
}

/* Lines that begin with no key of this network are passed over, as the reference does. */
static enum err import_line(struct importing *i, char *line, struct error *e)
{
    const struct chain_params *p = chain_get_params(i->call->env->chain);
    struct private_key k;
    struct span label;
    bool of_payment;
    enum err rc = OK;
    char *word = next_word(&line);
    if (!word || *word == '#' || wif_decode(&k, p->secret_version, word) != WIF_OK)
        return OK;
    if (find_words(line, &label, &of_payment))
        rc = import_key(i, &k, label, of_payment, e);
    else
        rc = error_set(e, ERR_PARSE, "a label of the file is written wrongly");
    private_key_wipe(&k);
    return rc;
}

/* The whole file and a NUL, in one piece of memory that is wiped. */
static enum err read_dump(const char *path, struct buf *text, struct error *e)
{
    struct file f;
    uint64_t size;
    enum err rc = file_open(&f, path, FILE_READ_REGULAR, e);
    if (rc)
        return rc;
    rc = file_size(&f, &size, e);
    if (!rc && size > DUMP_MAX_BYTES)
        rc = error_set(e, ERR_RANGE, "%s: larger than %zu bytes", path, DUMP_MAX_BYTES);
    if (!rc && !buf_try_reserve(text, (size_t)size + 1))
        rc = error_set(e, ERR_NOMEM, "%s: out of memory", path);
    if (!rc)
        rc = file_pread(&f, buf_extend(text, (size_t)size), (size_t)size, 0, e);
    if (!rc)
        buf_put_u8(text, 0);
    file_close(&f);
    return rc;
}

/* text ends with a NUL. */
static enum err import_lines(struct importing *i, char *text, struct error *e)
{
    enum err rc = OK;
    while (!rc && *text) {
        char *end = text + strcspn(text, "\n");
        char *next = *end ? end + 1 : end;
        *end = 0;
        rc = import_line(i, text, e);
        text = next;
    }
    return rc;
}

static struct rpc_result import_file(struct rpc_call *call, struct wallet *w, struct buf *text)
{
    struct importing i = { .call = call, .w = w };
    struct error e = { .code = OK };
    const enum err rc = import_lines(&i, (char *)text->data, &e);
    buf_wipe(text); /* the rescan may take hours */
    if (rc)
        return rpc_wallet_fail(call, &e);
    if (!i.keys)
        return rpc_fail(call, RPC_WALLET_ERROR, "the file has no private key of this network");
    return rpc_wallet_imported(call, w, true);
}

static struct rpc_result import_wallet(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct rpc_result r;
    struct buf text;
    if (call->env->wallets->pruned)
        return rpc_fail(call, RPC_WALLET_ERROR, "Importing wallets is disabled in pruned mode");
    char *path = rpc_wallet_path(call, 0);
    buf_init(&text);
    if (read_dump(path, &text, &e))
        r = rpc_fail(call, RPC_INVALID_PARAMETER, "Cannot open wallet dump file: %s", e.text);
    else
        r = import_file(call, w, &text);
    buf_wipe(&text);
    free(path);
    return r;
}

static struct rpc_result cmd_importwallet(struct rpc_call *call)
{
    return rpc_with_wallet(call, import_wallet);
}

static const struct rpc_command rows[] = {
    { .name = "dumpwallet",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_dumpwallet,
      .help = "Writes all private keys that were given out, and the phrase, to a text file that is "
              "not there yet. Who reads it has the coins. A relative path begins at the directory "
              "of the network.",
      .result = "{filename}",
      .example = "/mnt/stick/savings.txt",
      .params = { { "filename", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The file" } } },
    { .name = "importwallet",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .fn = cmd_importwallet,
      .help = "Adds the private keys of a file of dumpwallet, and looks for their coins in all "
              "blocks.",
      .result = "null",
      .example = "/mnt/stick/savings.txt",
      .params = { { "filename", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The file" } } },
};
const struct rpc_group rpc_wallet_dump_commands = { rows, COUNT_OF(rows) };
