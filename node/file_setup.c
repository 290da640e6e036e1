#include "node/file_setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"

#define DIRECTORY "files"

static bool tell(void *ctx, const struct transfer_news *news)
{
    struct event_record r = {
        .type = news->kind == TRANSFER_OFFERED ? LOGGED_FILE_OFFERED : LOGGED_FILE_RECEIVED
    };
    r.v[FILE_ENTRY].number = (int64_t)news->entry;
    memcpy(r.v[FILE_ID].file, news->id, sizeof news->id);
    memcpy(r.v[FILE_KEY].key, news->key, sizeof news->key);
    r.v[FILE_SIZE].number = (int64_t)news->size;
    log_sanitize(r.v[FILE_NAME].text, EVENT_TEXT_MAX, news->name.data, news->name.len);
    return feeds_tell(ctx, &r);
}

static uint64_t told(void *ctx) { return feeds_told(ctx, TOLD_FILES); }

enum err file_setup(struct transfers **out, const struct settings *s, struct channels *c,
                    struct feeds *feeds, struct error *e)
{
    char *dir = path_join(s->net_dir, DIRECTORY);
    const struct transfers_config config = {
        .directory = dir,
        .offers_max = (unsigned)config_int(s->config, "channelfileoffers"),
        .reserve_percent = (unsigned)config_int(s->config, "channelfilereserve"),
        .serve_budget = config_size(s->config, "channelfilememory"),
        .expire_ms = 86400000 * (uint64_t)config_int(s->config, "channelfiledays"),
        .streams = (unsigned)config_int(s->config, "channelfilestreams"),
        .bad_chunks = (unsigned)config_int(s->config, "channelbadchunks"),
        .sync_bytes = config_size(s->config, "channelfilesync"),
        .sync_ms = 1000 * (uint64_t)config_int(s->config, "channelfilesynctime"),
        .idle_ms = 1000 * (uint64_t)config_int(s->config, "channelfilestreamidle"),
    };
    const struct transfers_ops ops = { tell, told, feeds };
    const enum err rc = transfers_new(out, c, &config, &ops, e);
    free(dir);
    return rc;
}
