/* A configuration file of any content: read or refused in one line, and getters hold after it. */
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct option_row rows[] = {
    { .name = "listen", .type = OPTION_BOOL, .def = "1" },
    { .name = "port", .type = OPTION_INT, .min = 1, .max = 65535 },
    { .name = "dbcache", .type = OPTION_SIZE, .def = "100", .min = 4 << 20, .max = INT64_C(1) << 40,
      .unit = 1 << 20 },
    { .name = "fee", .type = OPTION_AMOUNT, .def = "0.1", .max = 1000000000 },
    { .name = "onlynet", .type = OPTION_CHOICE, .flags = OPTION_MULTI, .arg = "ipv4|ipv6" },
    { .name = "addnode", .type = OPTION_STRING, .flags = OPTION_MULTI },
    { .name = "upnp", .type = OPTION_BOOL, .flags = OPTION_IGNORED },
    { .name = "rpcpassword", .type = OPTION_STRING, .flags = OPTION_SECRET },
};

static void check_text(void *ctx, const char *text)
{
    (void)ctx;
    if (strchr(text, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c = config_new(rows, sizeof rows / sizeof *rows, check_text, NULL);
    struct error e = { 0 };
    const char *const *list;
    enum err rc = config_parse_text(c, "fuzz.conf", (const char *)data, size, &e);
    if (rc && (!e.text[0] || strchr(e.text, '\n')))
        abort();
    uint64_t cache = config_size(c, "dbcache");
    int64_t port = config_int(c, "port");
    if (cache < 4 << 20 || port < 0 || port > 65535 || config_amount(c, "fee") > 1000000000)
        abort();
    (void)config_bool(c, "listen");
    for (size_t i = 0, n = config_list(c, "onlynet", &list); i < n; i++)
        if (strcmp(list[i], "ipv4") != 0 && strcmp(list[i], "ipv6") != 0)
            abort();
    config_free(c);
    return 0;
}
