#include <config.h>

#include "rpc/cli_man.h"

#include <string.h>

#include "base/roff.h"
#include "rpc/cli_verbs.h"

static void put_command(const struct rpc_command *c, struct buf *out)
{
    struct buf line;
    buf_init(&line);
    rpc_help_line(c, &line);
    buf_put_u8(&line, 0);
    roff_section(out, "SS", c->name);
    buf_put_str(out, ".B ");
    roff_text(out, (const char *)line.data);
    buf_put_str(out, "\n.PP\n");
    roff_text(out, c->help);
    buf_put_u8(out, '\n');
    for (size_t i = 0; i < rpc_param_count(c); i++) {
        char name[64];
        size_t n = strcspn(c->params[i].name, "|");
        memcpy(name, c->params[i].name, n);
        name[n] = 0;
        roff_tag(out, name, c->params[i].need == RPC_REQUIRED ? "" : " (optional)");
        roff_text(out, c->params[i].help);
        buf_put_u8(out, '\n');
    }
    buf_put_str(out, ".PP\nResult: ");
    roff_text(out, c->result);
    buf_put_u8(out, '\n');
    buf_clear(&line);
}

static void put_verbs(struct buf *out)
{
    size_t n;
    const struct cli_verb *verbs = cli_verbs(&n);
    for (size_t i = 0; i < n; i++) {
        roff_section(out, "SS", verbs[i].name);
        buf_put_str(out, ".B ");
        roff_text(out, verbs[i].name);
        buf_put_u8(out, ' ');
        roff_text(out, verbs[i].usage);
        buf_put_str(out, "\n.PP\n");
        roff_text(out, verbs[i].help);
        buf_put_u8(out, '\n');
    }
}

static void put_ends(struct buf *out)
{
    roff_section(out, "SH", "EXIT STATUS");
    roff_text(out,
              "0 on success; the absolute value of the error code when the node refuses (5 for "
              "\"Block not found\"); 1 when the client itself fails.\n");
    roff_section(out, "SH", "FILES");
    roff_tag(out, "~/.bsvpeer/bsvpeer.conf", NULL);
    roff_text(out, "Options, one a line as name=value; read by the node too.\n");
    roff_tag(out, "~/.bsvpeer/.cookie", NULL);
    roff_text(out, "Password of the running node, when none is configured.\n");
}

void cli_man(const struct rpc_table *t, const struct option_row *options, size_t n, struct buf *out)
{
    buf_put_str(out, ".TH BSVPEER\\-CLI 1 \"\" \"bsvpeer " PACKAGE_VERSION "\"\n");
    roff_section(out, "SH", "NAME");
    buf_put_str(out, "bsvpeer\\-cli \\- client of the bsvpeer node\n");
    roff_section(out, "SH", "SYNOPSIS");
    buf_put_str(out, ".B bsvpeer\\-cli\n[options] command [parameter ...]\n");
    roff_section(out, "SH", "DESCRIPTION");
    roff_text(out, "Sends a command to a running node by JSON-RPC and prints the result. "
                   "\"bca verify\" stands for bcaverify, and so for every command that begins with "
                   "bca.\n");
    roff_section(out, "SH", "OPTIONS");
    config_man(options, n, CONFIG_HELP_USER, out);
    roff_section(out, "SH", "COMMANDS OF THE CLIENT");
    put_verbs(out);
    roff_section(out, "SH", "COMMANDS OF THE NODE");
    for (size_t i = 0; i < rpc_table_count(t); i++)
        if (!(rpc_table_at(t, i)->flags & RPC_HIDDEN))
            put_command(rpc_table_at(t, i), out);
    put_ends(out);
}
