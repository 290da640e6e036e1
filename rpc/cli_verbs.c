#include <config.h>

#include "rpc/cli_verbs.h"

#include <string.h>

#include "base/intmath.h"

static const struct cli_verb verbs[] = {
    { "chat", "<contact>",
      "Lines of standard input go to a contact; what comes from it is printed, and of each line "
      "what becomes of it: [12 delivered], [12 read]. What was not read is shown at once. Ends at "
      "the end of input.",
      1, 1, cli_chat },
    { "pipe", "<contact> <service> [options]",
      "Joins standard input and output with a service of a contact. Exit status 0 after a clean "
      "end, 2 when the stream broke off, 1 when it was not opened. Options of pipeservice let the "
      "node pay for it: '{\"max_satoshis\":500,\"price_per_mib\":100}'.",
      2, 3, cli_pipe },
    { "send", "<contact> <file> [price]",
      "Offers a file to a contact, free or for so many satoshis a MiB, and shows how it goes until "
      "it is there. Ending the command ends only that: the node goes on. Exit status 0 when the "
      "contact has the file, 1 otherwise.",
      2, 3, cli_send },
};

const struct cli_verb *cli_verb_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

const struct cli_verb *cli_verbs(size_t *n)
{
    *n = COUNT_OF(verbs);
    return verbs;
}
