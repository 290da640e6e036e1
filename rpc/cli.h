/* The client program without its main(): options, connection, output, exit status (spec rpc 7). */
#ifndef RPC_CLI_H
#define RPC_CLI_H

/* Returns the exit status of the process. Writes to standard output and standard error. */
int cli_run(int argc, char *const *argv);

#endif
