/*
 * Where a received file is saved for its user (spec channels 6): a name that came from a peer is a
 * text for display, so what becomes a file name of it is made here, and the file is put under it
 * without following links and without taking the place of anything. Any thread.
 */
#ifndef P2P_FILE_NAME_H
#define P2P_FILE_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define FILE_NAME_MAX 200

/*
 * The last part of a path, of valid UTF-8, without control characters, marks that turn the
 * direction of text, leading dots and blanks, blanks and dots at the end; when nothing is left,
 * "file".
 */
void file_name_safe(char out[FILE_NAME_MAX + 1], struct span text);

/*
 * Puts the file `from`, which stays, into the directory under a safe form of the name; where it is
 * taken a number is added. One that has been put there before, and is the same file still, keeps
 * its name. Contents are synced before the name is there. saved: the whole path (heap).
 */
enum err file_name_save(const char *from, const char *directory, struct span name, char **saved,
                        struct error *e) MUST_CHECK;

#endif
