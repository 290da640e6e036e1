/* Draws that are the same in each run, for tests whose outcome would be a matter of chance. */
#ifndef TESTS_FIXED_RAND_H
#define TESTS_FIXED_RAND_H

/* Set-up and tear-down of a test or of a group; the row begins anew. One thread. */
int fixed_rand_begin(void **state);
int fixed_rand_end(void **state);

#endif
