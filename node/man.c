#include <config.h>

#include "node/man.h"

#include "base/roff.h"
#include "node/options.h"

static void put_files(struct buf *out)
{
    static const struct { const char *name, *text;
    } rows[] = {
        { "bsvpeer.conf", "Options, one a line as name=value; '#' begins a comment. Without it a "
                          "bitcoin.conf there is read.\n" },
        { "bsvpeerd.log", "What happened. SIGHUP makes the daemon open it anew.\n" },
        { ".cookie", "Password for RPC while the daemon runs, when none is configured.\n" },
        { "blocks, index, coins",
          "The chain. Never change them by hand; -reindex rebuilds the last two.\n" },
    };
    roff_section(out, "SH", "FILES");
    roff_text(
        out,
        "In the data directory, ~/.bsvpeer by default, or the network's directory below it:\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        roff_tag(out, rows[i].name, NULL);
        roff_text(out, rows[i].text);
    }
}

static void put_signals(struct buf *out)
{
    roff_section(out, "SH", "SIGNALS");
    roff_text(out, "SIGINT and SIGTERM stop the daemon cleanly; a second one ends it at once, "
                   "which loses nothing "
                   "but time at the next start. SIGHUP opens the log anew.\n");
    roff_section(out, "SH", "EXIT STATUS");
    roff_text(out,
              "0 after a clean stop, 1 after an error; one line on standard error tells which.\n");
}

void node_man(struct buf *out)
{
    buf_put_str(out, ".TH BSVPEERD 1 \"\" \"bsvpeer " PACKAGE_VERSION "\"\n");
    roff_section(out, "SH", "NAME");
    buf_put_str(out, "bsvpeerd \\- BSV peer node\n");
    roff_section(out, "SH", "SYNOPSIS");
    buf_put_str(out, ".B bsvpeerd\n[options]\n");
    roff_section(out, "SH", "DESCRIPTION");
    roff_text(out, "Finds peers over IPv6 and IPv4, downloads and checks the BSV chain, serves it "
                   "to others, and "
                   "answers JSON-RPC. No option is mandatory.\n");
    roff_section(out, "SH", "OPTIONS");
    roff_text(out, "Each works on the command line with one or two dashes and in the configuration "
                   "file without.\n");
    config_man(node_options, node_options_count, CONFIG_HELP_USER, out);
    put_files(out);
    put_signals(out);
    roff_section(out, "SH", "SEE ALSO");
    buf_put_str(out, ".BR bsvpeer\\-cli (1)\n");
}
