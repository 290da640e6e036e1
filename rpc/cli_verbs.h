/*
 * Commands of the client that are more than one call to the node. A new one is a row in cli_verbs.c
 * and a function in a file of its own, which prints what fails and returns the exit status of the
 * process.
 */
#ifndef RPC_CLI_VERBS_H
#define RPC_CLI_VERBS_H

#include <stdbool.h>
#include <stddef.h>

struct cli;
struct json_object;

struct cli_verb {
    const char *name;
    const char *usage;  /* its parameters */
    const char *help;
    size_t min, max;    /* how many */
    int (*run)(struct cli *c, const char *const *args, size_t n);
};

const struct cli_verb *cli_verb_find(const char *name); /* or NULL */
const struct cli_verb *cli_verbs(size_t *n);

/* --- for verbs; cli.c --- */

/* The arguments as typed. False: it has been said why, *status is that of the process. The caller
 * puts the result. */
bool cli_call(struct cli *c, const char *method, const char *const *args, size_t n,
              struct json_object **result, int *status);
/* "error: text"; returns EXIT_FAILURE. */
int cli_complain(const char *text);
/* NULL: none, or o is no object. */
struct json_object *cli_member(struct json_object *o, const char *name);

/* --- the verbs --- */

int cli_chat(struct cli *c, const char *const *args, size_t n);
int cli_pipe(struct cli *c, const char *const *args, size_t n);
int cli_send(struct cli *c, const char *const *args, size_t n);

#endif
