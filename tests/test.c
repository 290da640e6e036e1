#include <config.h>

#include "tests/test.h"

#include <dirent.h>
#include <ftw.h>
#include <json-c/json.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum {
    VECTOR_FILE_MAX = 1 << 30, /* bytes, packed or not */
    JSON_DEPTH = 256,
};

static const char *vector_root(void)
{
    const char *root = getenv("BSVPEER_VECTORS");
    return root && *root ? root : TOP_SRCDIR "/../shared/vectors";
}

static char *path_in_root(const char *name, const char *suffix)
{
    return xasprintf("%s/%s%s", vector_root(), name, suffix);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

char *vector_path(const char *name)
{
    static const char *const suffixes[] = { "", ".xz" };
    for (size_t i = 0; i < 2; i++) {
        char *path = path_in_root(name, suffixes[i]);
        if (path_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

static void unpack_xz(const char *path, const struct buf *packed, struct buf *out)
{
    lzma_stream xz = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&xz, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
        fail_msg("%s: cannot start the xz decoder", path);
    xz.next_in = packed->data;
    xz.avail_in = packed->len;
    lzma_ret rc;
    do {
        uint8_t chunk[65536];
        xz.next_out = chunk;
        xz.avail_out = sizeof(chunk);
        rc = lzma_code(&xz, LZMA_FINISH);
        buf_put(out, chunk, sizeof(chunk) - xz.avail_out);
    } while (rc == LZMA_OK && out->len <= VECTOR_FILE_MAX);
    lzma_end(&xz);
    if (rc != LZMA_STREAM_END)
        fail_msg("%s: xz error %d", path, (int)rc);
}

void source_read(const char *name, struct buf *out)
{
    struct error e = { .code = OK };
    char *path = xasprintf(TOP_SRCDIR "/%s", name);
    if (file_read_all(path, VECTOR_FILE_MAX, out, &e))
        fail_msg("%s", e.text);
    free(path);
}

void vector_read(const char *name, struct buf *out)
{
    struct error e;
    char *path = vector_path(name);
    if (!path) {
        print_message("%s: absent, skipped\n", name);
        skip();
    }
    struct buf raw;
    buf_init(&raw);
    if (file_read_all(path, VECTOR_FILE_MAX, &raw, &e))
        fail_msg("%s", e.text);
    buf_reset(out);
    if (ends_with(path, ".xz") && !ends_with(name, ".xz"))
        unpack_xz(path, &raw, out);
    else
        buf_put(out, raw.data, raw.len);
    buf_clear(&raw);
    free(path);
}

struct json_object *vector_json(const char *name)
{
    struct buf text;
    buf_init(&text);
    vector_read(name, &text);
    struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
    assert_non_null(tok);
    struct json_object *json = json_tokener_parse_ex(tok, (const char *)text.data, (int)text.len);
    if (!json)
        fail_msg("%s: %s", name, json_tokener_error_desc(json_tokener_get_error(tok)));
    json_tokener_free(tok);
    buf_clear(&text);
    return json;
}

struct name_list {
    const char *folder, *suffix;
    char **names;
    size_t n;
};

static void add_matching(void *ctx, const char *file)
{
    struct name_list *list = (struct name_list *)ctx;
    size_t len = strlen(file);
    if (ends_with(file, ".xz") && !ends_with(list->suffix, ".xz"))
        len -= 3;
    char *name = xasprintf("%s/%.*s", list->folder, (int)len, file);
    if (!ends_with(name, list->suffix)) {
        free(name);
        return;
    }
    list->names = xrealloc(list->names, (list->n + 1) * sizeof(*list->names));
    list->names[list->n++] = name;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t vector_list(const char *folder, const char *suffix, char ***names)
{
    struct name_list list = { folder, suffix, NULL, 0 };
    struct error e;
    char *dir = path_in_root(folder, "");
    if (path_exists(dir) && path_list(dir, add_matching, &list, &e))
        fail_msg("%s", e.text);
    free(dir);
    if (list.n > 0)
        qsort(list.names, list.n, sizeof(*list.names), compare_names);
    *names = list.names;
    return list.n;
}

void vector_list_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

char *vector_block_of(const char *name)
{
    char **names, *found = NULL;
    const char *digits = strpbrk(name, "0123456789");
    const unsigned long height = digits ? strtoul(digits, NULL, 10) : 0;
    const size_t n = vector_list("blocks", ".block", &names);
    for (size_t i = 0; i < n && digits && !found; i++) {
        const char *at = strchr(names[i], '_');
        char *end = NULL;
        if (at && strtoul(at + 1, &end, 10) == height && end > at + 1 && *end == '_')
            found = xasprintf("%s", names[i]);
    }
    vector_list_free(names, n);
    return found;
}

void vector_report(const char *name, size_t cases)
{
    print_message("%s: %zu cases\n", name, cases);
    if (cases == 0)
        fail_msg("%s: no cases", name);
}

void vector_report_part(const char *name, size_t rows, size_t cases)
{
    if (rows > cases)
        print_message("%s: %zu rows are about something else\n", name, rows - cases);
    if (rows > 0 && cases == 0)
        skip();
    vector_report(name, cases);
}

struct buf unhex(const char *hex)
{
    struct buf b;
    size_t len = strlen(hex), got = 0;
    buf_init(&b);
    uint8_t *out = buf_extend(&b, len / 2);
    if (!hex_decode(out, len / 2, hex, len, &got) || got != len / 2)
        fail_msg("not hex: %.80s", hex);
    return b;
}

char *test_dir_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/bsvpeer-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        fail_msg("cannot make %s", dir);
    return dir;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void test_dir_remove(char *dir)
{
    if (!dir)
        return;
    if (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fail_msg("cannot remove %s", dir);
    free(dir);
}
