/* Text for the log: always terminated, within its room, and safe to sanitise again. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size, size_t cap)
{
    char once[256], twice[256];
    log_sanitize(once, cap, data, size);
    size_t len = strnlen(once, cap);
    if (len >= cap)
        abort();
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)once[i] < 0x20 || once[i] == 0x7f)
            abort();
    log_sanitize(twice, cap, once, len);
    if (strcmp(once, twice) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, 256);
    check(data, size, 1 + size % 16);
    return 0;
}
