#include <config.h>

#include "bca/cli_options.h"

#include <string.h>

#include "base/intmath.h"
#include "base/roff.h"

const struct cli_command cli_commands[CLI_COMMAND_COUNT] = {
    [CLI_VERIFY] = { "verify", " ADDRESS PARAMS", 2,
                     "Say whether the parameters prove the address. Without --headers nothing\n"
                     "is said of the chain; whether the registration was revoked is never\n"
                     "looked up." },
    [CLI_ADDRESS] = { "address", "", 0,
                      "Form an address and its parameters from a key, modifiers, and the block\n"
                      "that registers them. What is printed has passed verification, but for\n"
                      "the chain." },
    [CLI_REGISTRATION] = { "registration", "", 0,
                           "Print the script of the output, value 0, that registers a key with\n"
                           "its modifiers." },
    [CLI_DECODE] = { "decode", " PARAMS", 1, "Show what parameters contain, without judging it." },
};

#define ALL_COMMANDS "Options"
#define OF_VERIFY "Options of verify"
#define OF_NETWORK "Options of verify and address"
#define OF_IDENTITY "Options of address and registration"
#define OF_ADDRESS "Options of address"

static const struct {
    const char *category;
    unsigned commands; /* a bit for each */
} category_rows[] = {
    { ALL_COMMANDS, (1u << CLI_COMMAND_COUNT) - 1 },
    { OF_VERIFY, 1u << CLI_VERIFY },
    { OF_NETWORK, 1u << CLI_VERIFY | 1u << CLI_ADDRESS },
    { OF_IDENTITY, 1u << CLI_ADDRESS | 1u << CLI_REGISTRATION },
    { OF_ADDRESS, 1u << CLI_ADDRESS },
};

#define HEX "<hex>"

const struct option_row cli_option_rows[] = {
    { "help", OPTION_BOOL, 0, "0", 0, 0, 0, ALL_COMMANDS, NULL, "Print this text and exit", "?|h" },
    { "help-man", OPTION_BOOL, OPTION_HIDDEN, "0", 0, 0, 0, ALL_COMMANDS, NULL,
      "Print the manual page and exit", NULL },
    { "version", OPTION_BOOL, 0, "0", 0, 0, 0, ALL_COMMANDS, NULL, "Print the version and exit",
      NULL },
    { "json", OPTION_BOOL, 0, "0", 0, 0, 0, ALL_COMMANDS, NULL,
      "Print one JSON object instead of lines", NULL },
    { "network", OPTION_CHOICE, 0, "main", 0, 0, 0, OF_NETWORK, "main|test|stn|regtest",
      "Network whose rules count", NULL },
    { "min-sec", OPTION_INT, 0, NULL, 0, 7, 0, OF_VERIFY, "<n>",
      "Least sec that is accepted (default: main 2, other networks 0)", NULL },
    { "min-conf", OPTION_INT, 0, NULL, 0, INT32_MAX, 0, OF_VERIFY, "<n>",
      "Confirmations that the block needs in --headers (default: 6, regtest 1)", NULL },
    { "headers", OPTION_STRING, 0, NULL, 0, 0, 0, OF_VERIFY, "<file>",
      "Headers of the active chain, 80 bytes each, oldest first, the last one the tip, binary or "
      "hex. They may begin anywhere; links and proof of work are checked, the rest is up to you",
      NULL },
    { "public-key", OPTION_STRING, 0, NULL, 0, 0, 0, OF_IDENTITY, HEX,
      "Key of the identity, 33 bytes", NULL },
    { "seed", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, 0, OF_IDENTITY, HEX,
      "Secret of 32 bytes from which the modifiers follow; better @FILE or - than in plain sight",
      NULL },
    { "modifier-count", OPTION_INT, 0, "32", 1, 32, 0, OF_IDENTITY, "<n>",
      "How many modifiers follow from --seed: 1, 2, 4, 8, 16 or 32", NULL },
    { "modifiers", OPTION_STRING, OPTION_SECRET, NULL, 0, 0, 0, OF_IDENTITY, HEX,
      "Instead of --seed: all modifiers, 16 bytes each", NULL },
    { "modifier-index", OPTION_INT, 0, "0", 0, 31, 0, OF_ADDRESS, "<n>",
      "Which modifier; a new one for each prefix", NULL },
    { "prefix", OPTION_STRING, 0, NULL, 0, 0, 0, OF_ADDRESS, "<prefix>",
      "Subnet prefix of 64 bits, such as 2001:db8:0:1::/64", NULL },
    { "sec", OPTION_INT, 0, NULL, 0, 7, 0, OF_ADDRESS, "<n>",
      "Security parameter (default: what the block's difficulty gives)", NULL },
    { "collision-count", OPTION_INT, 0, "0", 0, 2, 0, OF_ADDRESS, "<n>",
      "One more after each duplicate that was seen on the link", NULL },
    { "block", OPTION_STRING, 0, NULL, 0, 0, 0, OF_ADDRESS, HEX,
      "The whole block: the registration and its proof are looked up in it", NULL },
    { "transaction", OPTION_STRING, 0, NULL, 0, 0, 0, OF_ADDRESS, HEX,
      "Instead of --block: the transaction as mined", NULL },
    { "header", OPTION_STRING, 0, NULL, 0, 0, 0, OF_ADDRESS, HEX,
      "Instead of --block: the header of its block", NULL },
    { "tx-index", OPTION_INT, 0, "0", 0, UINT32_MAX, 0, OF_ADDRESS, "<n>",
      "Instead of --block: position of the transaction in its block", NULL },
    { "tx-siblings", OPTION_STRING, OPTION_TEXT_SWITCH, NULL, 0, 0, 0, OF_ADDRESS, HEX,
      "Instead of --block: hashes of its proof, leaf level first, in internal byte order, a "
      "copy of the node where a row ends",
      NULL },
};
const size_t cli_option_count = COUNT_OF(cli_option_rows);

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}

static unsigned commands_of(const char *category)
{
    for (size_t i = 0; i < COUNT_OF(category_rows); i++)
        if (strcmp(category_rows[i].category, category) == 0)
            return category_rows[i].commands;
    return 0;
}

const char *cli_foreign_option(const struct config *c, const struct cli_command *command)
{
    const unsigned bit = 1u << (command - cli_commands);
    for (size_t i = 0; i < cli_option_count; i++) {
        const struct option_row *row = &cli_option_rows[i];
        if (config_is_set(c, row->name) && !(commands_of(row->category) & bit))
            return row->name;
    }
    return NULL;
}

/* --- texts ---------------------------------------------------------------------------------- */

static const char values_text[] =
    "Where bytes are wanted (PARAMS and " HEX "), they are given as hex digits, as @FILE, or\n"
    "as - for standard input; a file holds hex digits or the bytes themselves. ADDRESS is\n"
    "an IPv6 address.";

static const struct {
    const char *status, *text;
} exit_rows[] = {
    { "0", "valid; the command succeeded" },
    { "1", "invalid; nothing could be formed or decoded" },
    { "2", "undetermined: the headers do not tell whether the block is on their chain" },
    { "64", "wrong usage, a file that cannot be read or used, or output that cannot be written" },
};

void cli_help(struct buf *out)
{
    struct buf options;
    buf_init(&options);
    buf_put_str(out, "bsvpeer-bca " PACKAGE_VERSION "\n\nUsage:\n");
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++)
        buf_printf(out, "  bsvpeer-bca %s [options]%s\n", cli_commands[i].name,
                   cli_commands[i].operands);
    buf_put_str(out, "\n");
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++)
        buf_printf(out, "%s:\n%s\n\n", cli_commands[i].name, cli_commands[i].help);
    buf_printf(out, "%s\n\n", values_text);
    config_help(cli_option_rows, cli_option_count, CONFIG_HELP_USER, &options);
    buf_put(out, options.data, options.len);
    buf_put_str(out, "\nExit status:\n");
    for (size_t i = 0; i < COUNT_OF(exit_rows); i++)
        buf_printf(out, "  %-2s  %s\n", exit_rows[i].status, exit_rows[i].text);
    buf_clear(&options);
}

void cli_man(struct buf *out)
{
    buf_put_str(out, ".TH BSVPEER\\-BCA 1 \"\" \"bsvpeer " PACKAGE_VERSION "\"\n");
    roff_section(out, "SH", "NAME");
    buf_put_str(out, "bsvpeer\\-bca \\- verifies and forms Bitcoin-Certified Addresses\n");
    roff_section(out, "SH", "SYNOPSIS");
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++)
        buf_printf(out, "%s.B bsvpeer\\-bca %s\n[options]%s\n", i ? ".br\n" : "",
                   cli_commands[i].name, cli_commands[i].operands);
    roff_section(out, "SH", "DESCRIPTION");
    roff_text(out, "Works without a node and without a network. ");
    roff_text(out, values_text);
    buf_put_u8(out, '\n');
    for (size_t i = 0; i < CLI_COMMAND_COUNT; i++) {
        roff_tag(out, cli_commands[i].name, cli_commands[i].operands);
        roff_text(out, cli_commands[i].help);
        buf_put_u8(out, '\n');
    }
    roff_section(out, "SH", "OPTIONS");
    roff_text(out, "Each with one dash or two, before or after the operands.\n");
    config_man(cli_option_rows, cli_option_count, CONFIG_HELP_USER, out);
    roff_section(out, "SH", "EXIT STATUS");
    for (size_t i = 0; i < COUNT_OF(exit_rows); i++) {
        roff_tag(out, exit_rows[i].status, NULL);
        roff_text(out, exit_rows[i].text);
        buf_put_u8(out, '\n');
    }
    roff_section(out, "SH", "NOTES");
    roff_text(out, "The method is the subject of patent applications (GB2624705A, "
                   "WO2024115335A1).\n");
    roff_section(out, "SH", "SEE ALSO");
    buf_put_str(out, ".BR bsvpeerd (1)\n");
}
