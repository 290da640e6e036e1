/*
 * bsvpeer-bca: the commands over the public functions of the library, as another program would call
 * them. What a command prints goes to standard output, why it printed nothing to standard error.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/block.h"
#include "base/intmath.h"
#include "bca/bsvpeer_bca.h"
#include "bca/cli_block.h"
#include "bca/cli_input.h"
#include "bca/cli_options.h"
#include "bca/cli_output.h"

#define HEADERS_FILE_MAX ((size_t)1 << 29)
#define BLOCK_MAX ((size_t)1 << 29)
#define PARAMS_READ_MAX ((size_t)1 << 20) /* longer than any: those are judged, not refused */
#define OPERANDS_MAX 3 /* the command and its own */

struct cli {
    struct config *config;
    const struct cli_command *command;
    const char *operand[OPERANDS_MAX];
    size_t n_operands;
    struct cli_record record;
};

static int complain(int status, const char *text)
{
    fprintf(stderr, "bsvpeer-bca: %s\n", text);
    return status;
}

/* The value of an option that the command cannot do without. */
static enum err required(const struct cli *c, const char *name, const char **value, struct error *e)
{
    *value = config_string(c->config, name);
    return *value ? OK : error_set(e, ERR_PARSE, "option %s is missing", name);
}

static enum bsvpeer_bca_network network(const struct cli *c)
{
    enum bsvpeer_bca_network n = BSVPEER_BCA_MAIN;
    bsvpeer_bca_network_find(config_string(c->config, "network"), &n); /* the option is a choice */
    return n;
}

static int64_t number_or_default(const struct cli *c, const char *name)
{
    return config_is_set(c->config, name) ? config_int(c->config, name) : BSVPEER_BCA_DEFAULT;
}

static enum err wrong(enum bsvpeer_bca_error code, struct error *e)
{
    static const char *const texts[] = {
        [BSVPEER_BCA_OK] = "",
        [BSVPEER_BCA_ERROR_ARGUMENT] = "a value is out of its range",
        [BSVPEER_BCA_ERROR_FORMAT] = "the bytes do not follow their format",
        [BSVPEER_BCA_ERROR_MEMORY] = "out of memory",
        [BSVPEER_BCA_ERROR_PREFIX] = "no address is formed in this prefix",
        [BSVPEER_BCA_ERROR_COLLISION] = "three collisions: take another modifier",
    };
    return code ? error_set(e, ERR_RANGE, "%s", texts[code]) : OK;
}

/* --- verify --------------------------------------------------------------------------------- */

static void put_report(struct cli_record *r, const struct bsvpeer_bca_report *report)
{
    const bool decoded = !report->failed_step || strcmp(report->failed_step, "decode") != 0;
    cli_put_number(r, "sec", report->sec);
    cli_put_number(r, "security_bits", report->security_bits);
    if (decoded) {
        cli_put_hex(r, "public_key", report->public_key, sizeof report->public_key);
        cli_put_hash(r, "block", report->block_hash);
        cli_put_hash(r, "txid", report->txid);
    } else {
        cli_put_null(r, "public_key");
        cli_put_null(r, "block");
        cli_put_null(r, "txid");
    }
    if (report->can_be_revoked)
        cli_put_number(r, "marker_output", report->marker_output);
    else
        cli_put_null(r, "marker_output");
}

static enum err load_headers(const struct cli *c, struct buf *bytes,
                             struct bsvpeer_bca_headers **out, struct error *e)
{
    char file[4096], why[200] = "";
    const char *name = config_string(c->config, "headers");
    *out = NULL;
    if (!name)
        return config_is_set(c->config, "min-conf")
                   ? error_set(e, ERR_PARSE,
                               "option min-conf counts in option headers, which is missing")
                   : OK;
    if (snprintf(file, sizeof file, "@%s", name) >= (int)sizeof file)
        return error_set(e, ERR_RANGE, "option headers: the name is too long");
    enum err rc = cli_read_bytes("option headers", file, HEADERS_FILE_MAX, bytes, e);
    if (!rc && bsvpeer_bca_headers_new(network(c), bytes->data, bytes->len, out, why, sizeof why))
        rc = error_set(e, ERR_PARSE, "option headers: %s", why);
    return rc;
}

static enum err verify_bytes(struct cli *c, const struct buf *params,
                             const struct bsvpeer_bca_headers *headers, int *status,
                             struct error *e)
{
    uint8_t address[16];
    struct bsvpeer_bca_report report;
    const struct bsvpeer_bca_policy policy = {
        .network = network(c),
        .min_sec = (int)number_or_default(c, "min-sec"),
        .min_conf = number_or_default(c, "min-conf"),
        .headers = headers,
    };
    enum err rc = cli_read_address(c->operand[1], address, e);
    if (!rc)
        rc = wrong(bsvpeer_bca_verify(address, params->data, params->len, &policy, &report), e);
    if (rc)
        return rc;
    struct cli_record *r = &c->record;
    cli_put_text(r, "result", bsvpeer_bca_result_name(report.result));
    cli_put_text(r, "failed_step", report.failed_step);
    cli_put_text(r, "network", bsvpeer_bca_network_name(policy.network));
    cli_put_address(r, "address", address);
    put_report(r, &report);
    if (report.confirmations >= 0)
        cli_put_number(r, "confirmations", report.confirmations);
    else
        cli_put_null(r, "confirmations");
    cli_put_bool(r, "chain_checked", report.chain_checked);
    cli_put_bool(r, "revocation_checked", false);
    *status = (int)report.result;
    return OK;
}

static enum err run_verify(struct cli *c, int *status, struct error *e)
{
    struct buf params, list;
    struct bsvpeer_bca_headers *headers = NULL;
    buf_init(&params);
    buf_init(&list);
    enum err rc = cli_read_bytes("PARAMS", c->operand[2], PARAMS_READ_MAX, &params, e);
    if (!rc)
        rc = load_headers(c, &list, &headers, e);
    if (!rc)
        rc = verify_bytes(c, &params, headers, status, e);
    bsvpeer_bca_headers_free(headers);
    buf_clear(&list);
    buf_clear(&params);
    return rc;
}

/* --- decode --------------------------------------------------------------------------------- */

static void put_registered(struct cli_record *r, const struct bsvpeer_bca_decoded *d)
{
    if (!d->key_hash) {
        cli_put_null(r, "registration_output");
        cli_put_null(r, "key_hash");
        cli_put_null(r, "modifier_root");
    } else {
        cli_put_number(r, "registration_output", d->registration_output);
        cli_put_hex(r, "key_hash", d->key_hash, 32);
        cli_put_hex(r, "modifier_root", d->modifier_root, 32);
    }
    if (d->can_be_revoked)
        cli_put_number(r, "marker_output", d->marker_output);
    else
        cli_put_null(r, "marker_output");
}

static void put_decoded(struct cli_record *r, const struct bsvpeer_bca_decoded *d)
{
    cli_put_number(r, "version", 1);
    cli_put_hex(r, "modifier", d->modifier, 16);
    cli_put_hex(r, "public_key", d->public_key, 33);
    cli_put_hex(r, "transaction", d->transaction, d->transaction_len);
    cli_put_hash(r, "txid", d->txid);
    put_registered(r, d);
    cli_put_hex(r, "header", d->header, BLOCK_HEADER_SIZE);
    cli_put_hash(r, "block", d->block_hash);
    cli_put_number(r, "block_zero_bits", d->hash_zero_bits);
    cli_put_hex(r, "subnet_prefix", d->subnet_prefix, 8);
    cli_put_number(r, "collision_count", d->collision_count);
    cli_put_number(r, "tx_index", d->tx_index);
    cli_put_number(r, "tx_depth", d->tx_depth);
    cli_put_siblings(r, "tx_siblings", d->tx_siblings, d->tx_depth);
    cli_put_number(r, "modifier_index", d->modifier_index);
    cli_put_number(r, "modifier_depth", d->modifier_depth);
    cli_put_siblings(r, "modifier_siblings", d->modifier_siblings, d->modifier_depth);
}

static enum err run_decode(struct cli *c, int *status, struct error *e)
{
    struct buf params;
    struct bsvpeer_bca_decoded decoded;
    char why[200] = "";
    buf_init(&params);
    enum err rc = cli_read_bytes("PARAMS", c->operand[1], PARAMS_READ_MAX, &params, e);
    if (!rc && bsvpeer_bca_decode(params.data, params.len, &decoded, why, sizeof why)) {
        *status = complain(CLI_INVALID, why);
        cli_put_text(&c->record, "result", "invalid");
        cli_put_text(&c->record, "failed_step", "decode");
    } else if (!rc) {
        put_decoded(&c->record, &decoded);
        *status = CLI_VALID;
    }
    buf_clear(&params);
    return rc;
}

/* --- registration, address ------------------------------------------------------------------ */

struct identity {
    uint8_t public_key[BSVPEER_BCA_PUBLIC_KEY_SIZE];
    uint8_t modifiers[BSVPEER_BCA_MODIFIERS_MAX * BSVPEER_BCA_MODIFIER_SIZE];
    size_t n_modifiers;
    uint8_t script[BSVPEER_BCA_SCRIPT_SIZE];
};

static enum err modifiers_of_seed(const struct cli *c, const char *seed_text, struct identity *id,
                                  struct error *e)
{
    uint8_t seed[32];
    enum err rc = cli_read_exact("option seed", seed_text, seed, sizeof seed, e);
    id->n_modifiers = (size_t)config_int(c->config, "modifier-count");
    if (!rc && bsvpeer_bca_modifiers(seed, id->n_modifiers, id->modifiers))
        rc = error_set(e, ERR_RANGE, "option modifier-count: allowed is 1, 2, 4, 8, 16 or 32");
    secure_wipe(seed, sizeof seed);
    return rc;
}

static enum err modifiers_of_list(const char *text, struct identity *id, struct error *e)
{
    struct buf list;
    buf_init(&list);
    enum err rc = cli_read_bytes("option modifiers", text, sizeof id->modifiers, &list, e);
    if (!rc && (list.len % BSVPEER_BCA_MODIFIER_SIZE || !list.len))
        rc = error_set(e, ERR_RANGE, "option modifiers: %zu bytes are no modifiers of 16 bytes",
                       list.len);
    if (!rc)
        memcpy(id->modifiers, list.data, list.len);
    id->n_modifiers = list.len / BSVPEER_BCA_MODIFIER_SIZE;
    buf_wipe(&list);
    return rc;
}

static enum err read_identity(const struct cli *c, struct identity *id, struct error *e)
{
    const char *key, *seed = config_string(c->config, "seed");
    const char *list = config_string(c->config, "modifiers");
    if (!seed == !list)
        return error_set(e, ERR_PARSE, "one of the options seed and modifiers is needed");
    if (list && config_is_set(c->config, "modifier-count"))
        return error_set(e, ERR_PARSE, "option modifier-count belongs to option seed");
    enum err rc = required(c, "public-key", &key, e);
    if (!rc)
        rc = cli_read_exact("option public-key", key, id->public_key, sizeof id->public_key, e);
    if (!rc)
        rc = seed ? modifiers_of_seed(c, seed, id, e) : modifiers_of_list(list, id, e);
    if (!rc &&
        bsvpeer_bca_registration_script(id->public_key, id->modifiers, id->n_modifiers, id->script))
        rc = error_set(e, ERR_RANGE, "%zu modifiers, or the public key, are not allowed",
                       id->n_modifiers);
    return rc;
}

static enum err run_registration(struct cli *c, int *status, struct error *e)
{
    struct identity id;
    enum err rc = read_identity(c, &id, e);
    if (!rc) {
        cli_put_hex(&c->record, "script", id.script, sizeof id.script);
        cli_put_number(&c->record, "modifiers", (int64_t)id.n_modifiers);
        *status = CLI_VALID;
    }
    secure_wipe(&id, sizeof id);
    return rc;
}

/* Where the registration is: from the block, or from the four options that stand for it. */
struct place {
    struct buf block, transaction; /* what was read */
    uint8_t header[BLOCK_HEADER_SIZE];
    struct cli_registered registered;
};

static enum err place_of_block(const char *text, const struct identity *id, struct place *p,
                               int *status, struct error *e)
{
    enum err rc = cli_read_bytes("option block", text, BLOCK_MAX, &p->block, e);
    if (rc)
        return rc;
    rc = cli_find_registration(buf_span(&p->block), id->script, &p->registered, e);
    if (rc == ERR_NOTFOUND)
        *status = CLI_INVALID;
    if (!rc)
        memcpy(p->header, p->block.data, sizeof p->header);
    return rc;
}

static enum err place_of_proof(const struct cli *c, struct place *p, struct error *e)
{
    const char *transaction, *header, *siblings = config_string(c->config, "tx-siblings");
    struct buf list;
    buf_init(&list);
    enum err rc = required(c, "transaction", &transaction, e);
    if (!rc)
        rc = required(c, "header", &header, e);
    if (!rc)
        rc = cli_read_bytes("option transaction", transaction, BSVPEER_BCA_TX_MAX, &p->transaction,
                            e);
    if (!rc)
        rc = cli_read_exact("option header", header, p->header, sizeof p->header, e);
    if (!rc && siblings)
        rc = cli_read_bytes("option tx-siblings", siblings, sizeof p->registered.tx_siblings, &list,
                            e);
    if (!rc && list.len % 32)
        rc = error_set(e, ERR_RANGE, "option tx-siblings: %zu bytes are no hashes of 32 bytes",
                       list.len);
    if (!rc) {
        p->registered.transaction = buf_span(&p->transaction);
        p->registered.tx_index = (uint32_t)config_int(c->config, "tx-index");
        p->registered.tx_depth = (unsigned)(list.len / 32);
        if (list.len)
            memcpy(p->registered.tx_siblings, list.data, list.len);
    }
    buf_clear(&list);
    return rc;
}

static enum err read_place(const struct cli *c, const struct identity *id, struct place *p,
                           int *status, struct error *e)
{
    static const char *const proof_options[] = { "transaction", "header", "tx-index",
                                                 "tx-siblings" };
    const char *block = config_string(c->config, "block");
    if (!block)
        return place_of_proof(c, p, e);
    for (size_t i = 0; i < COUNT_OF(proof_options); i++)
        if (config_is_set(c->config, proof_options[i]))
            return error_set(e, ERR_PARSE, "option %s: the option block says it", proof_options[i]);
    return place_of_block(block, id, p, status, e);
}

static void put_formed(struct cli_record *r, const uint8_t address[16], const uint8_t *params,
                       size_t len, const struct bsvpeer_bca_report *report)
{
    struct bsvpeer_bca_decoded d;
    if (bsvpeer_bca_decode(params, len, &d, NULL, 0))
        return; /* what was formed decodes */
    cli_put_address(r, "address", address);
    cli_put_hex(r, "interface_id", address + 8, 8);
    cli_put_number(r, "collision_count", d.collision_count);
    put_report(r, report);
    cli_put_hex(r, "params", params, len);
}

static enum err form(struct cli *c, const struct identity *id, const struct place *p, int *status,
                     struct error *e)
{
    uint8_t prefix[8], address[16];
    static uint8_t params[BSVPEER_BCA_PARAMS_MAX];
    size_t len = sizeof params;
    struct bsvpeer_bca_report report;
    const char *text;
    enum err rc = required(c, "prefix", &text, e);
    if (!rc)
        rc = cli_read_prefix(text, prefix, e);
    const struct bsvpeer_bca_input in = {
        .network = network(c),
        .public_key = id->public_key,
        .modifiers = id->modifiers,
        .n_modifiers = id->n_modifiers,
        .modifier_index = (unsigned)config_int(c->config, "modifier-index"),
        .transaction = p->registered.transaction.data,
        .transaction_len = p->registered.transaction.len,
        .header = p->header,
        .tx_index = p->registered.tx_index,
        .tx_depth = p->registered.tx_depth,
        .tx_siblings = p->registered.tx_siblings,
        .subnet_prefix = prefix,
        .sec = (int)number_or_default(c, "sec"),
        .collision_count = (uint8_t)config_int(c->config, "collision-count"),
    };
    if (!rc && in.modifier_index >= in.n_modifiers)
        rc = error_set(e, ERR_RANGE, "option modifier-index: there are %zu modifiers",
                       in.n_modifiers);
    if (rc)
        return rc;
    enum bsvpeer_bca_error code = bsvpeer_bca_form(&in, address, params, &len, &report);
    if (code == BSVPEER_BCA_ERROR_COLLISION)
        *status = CLI_INVALID;
    if (code)
        return wrong(code, e);
    *status = (int)report.result;
    if (report.result == BSVPEER_BCA_VALID) {
        put_formed(&c->record, address, params, len, &report);
        return OK;
    }
    complain(CLI_INVALID, "nothing is formed: it would not pass verification");
    cli_put_text(&c->record, "result", bsvpeer_bca_result_name(report.result));
    cli_put_text(&c->record, "failed_step", report.failed_step);
    return OK;
}

static enum err run_address(struct cli *c, int *status, struct error *e)
{
    struct identity id;
    static struct place p;
    buf_init(&p.block);
    buf_init(&p.transaction);
    enum err rc = read_identity(c, &id, e);
    if (!rc)
        rc = read_place(c, &id, &p, status, e);
    if (!rc)
        rc = form(c, &id, &p, status, e);
    buf_clear(&p.block);
    buf_clear(&p.transaction);
    secure_wipe(&id, sizeof id);
    return rc;
}

/* --- program -------------------------------------------------------------------------------- */

static enum err (*const runners[CLI_COMMAND_COUNT])(struct cli *, int *, struct error *) = {
    [CLI_VERIFY] = run_verify,
    [CLI_ADDRESS] = run_address,
    [CLI_REGISTRATION] = run_registration,
    [CLI_DECODE] = run_decode,
};

/* Options may stand anywhere; a bare "-" is an operand. */
static enum err read_arguments(struct cli *c, int argc, char **argv, struct error *e)
{
    for (int at = 0; at + 1 < argc;) {
        int end = at + 1, used = 0;
        while (end < argc && strcmp(argv[end], "-") != 0)
            end++;
        enum err rc = config_parse_args(c->config, end - at, argv + at, &used, e);
        if (rc)
            return rc;
        at += used;
        if (at >= argc)
            break;
        if (c->n_operands == OPERANDS_MAX)
            return error_set(e, ERR_PARSE, "too many operands");
        c->operand[c->n_operands++] = argv[at];
    }
    return OK;
}

static enum err choose_command(struct cli *c, struct error *e)
{
    if (!c->n_operands)
        return error_set(e, ERR_PARSE, "no command; bsvpeer-bca --help lists them");
    c->command = cli_command_find(c->operand[0]);
    if (!c->command)
        return error_set(e, ERR_PARSE, "no command %.80s; bsvpeer-bca --help lists them",
                         c->operand[0]);
    if (c->n_operands - 1 != c->command->n_operands)
        return error_set(e, ERR_PARSE, "usage: bsvpeer-bca %s [options]%s", c->command->name,
                         c->command->operands);
    const char *foreign = cli_foreign_option(c->config, c->command);
    return foreign ? error_set(e, ERR_PARSE, "option %s: not for %s", foreign, c->command->name)
                   : OK;
}

/* --help, --help-man, --version; empty when none was asked for. */
static void put_text(const struct cli *c, struct buf *out)
{
    if (config_bool(c->config, "help"))
        cli_help(out);
    else if (config_bool(c->config, "help-man"))
        cli_man(out);
    else if (config_bool(c->config, "version"))
        buf_put_str(out, "bsvpeer-bca " PACKAGE_VERSION "\n");
}

/* What was not printed has said nothing, whatever it was. */
static int printed(bool good, int status)
{
    return good ? status : complain(CLI_USAGE, "cannot write to standard output");
}

static int run(struct cli *c, int argc, char **argv)
{
    struct error e = { .code = OK };
    int status = CLI_USAGE; /* of errors, unless the command knows better */
    enum err rc = read_arguments(c, argc, argv, &e);
    struct buf text;
    buf_init(&text);
    if (!rc)
        put_text(c, &text);
    if (text.len) {
        const bool good = buf_print(&text);
        buf_clear(&text);
        return printed(good, CLI_VALID);
    }
    if (!rc)
        rc = choose_command(c, &e);
    if (rc)
        return complain(CLI_USAGE, e.text);
    cli_record_init(&c->record, config_bool(c->config, "json"));
    rc = runners[c->command - cli_commands](c, &status, &e);
    if (rc) {
        buf_clear(&c->record.text);
        return complain(status, e.text);
    }
    return printed(cli_record_print(&c->record), status);
}

int main(int argc, char **argv)
{
    struct cli c = { .n_operands = 0 };
    c.config = config_new(cli_option_rows, cli_option_count, NULL, NULL);
    int status = run(&c, argc, argv);
    config_free(c.config);
    return status;
}
