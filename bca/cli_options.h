/* Commands and options of bsvpeer-bca: help, manual page and checks come from these tables. */
#ifndef BCA_CLI_OPTIONS_H
#define BCA_CLI_OPTIONS_H

#include <stdbool.h>

#include "base/config.h"

enum cli_exit { CLI_VALID = 0, CLI_INVALID = 1, CLI_UNDETERMINED = 2, CLI_USAGE = 64 };

enum cli_command_id { CLI_VERIFY, CLI_ADDRESS, CLI_REGISTRATION, CLI_DECODE, CLI_COMMAND_COUNT };

struct cli_command {
    const char *name;
    const char *operands; /* as shown */
    size_t n_operands;
    const char *help;
};

extern const struct cli_command cli_commands[CLI_COMMAND_COUNT];
extern const struct option_row cli_option_rows[];
extern const size_t cli_option_count;

/* NULL: no such command. */
const struct cli_command *cli_command_find(const char *name);
/* The first option that was given and that this command does not know; NULL when there is none. */
const char *cli_foreign_option(const struct config *c, const struct cli_command *command);

void cli_help(struct buf *out);
void cli_man(struct buf *out);

#endif
