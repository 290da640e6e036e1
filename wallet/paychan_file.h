/*
 * The file from which payment channels are brought back (paychan_copy.h has its bytes): read and
 * replaced as a whole. Any thread; waits for the disk.
 */
#ifndef WALLET_PAYCHAN_FILE_H
#define WALLET_PAYCHAN_FILE_H

#include "wallet/paychan_copy.h"

struct paychan_file {
    struct paychan_saved *v;
    size_t n;
};

/* ERR_NOTFOUND: there is none; else it is none of this network, or damaged: e says so. *f is empty
 * then. */
enum err paychan_file_read(struct paychan_file *f, const char *path, const uint8_t magic[4],
                           struct error *e) MUST_CHECK;
/* Read back before it takes the place of another one. */
enum err paychan_file_write(const struct paychan_file *f, const char *path,
                            const uint8_t magic[4], struct error *e) MUST_CHECK;
void paychan_file_clear(struct paychan_file *f);

bool paychan_file_has(const struct paychan_file *f, const uint8_t id[PAYCHAN_ID_SIZE]);
/* Adds it, or puts it in the place of the one with this id. */
void paychan_file_put(struct paychan_file *f, const struct paychan_saved *s);
void paychan_file_remove(struct paychan_file *f, const uint8_t id[PAYCHAN_ID_SIZE]);

#endif
