/*
 * Pruning by whole files, oldest first. A file goes when all its blocks lie prune_keep below the
 * tip; the coins are flushed before, so that no recovery needs it, and the index forgets its blocks
 * on disk before the file is removed.
 */
#include <config.h>

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "chain/chain_internal.h"

#define KEEP_MIN 288 /* spec product: blocks and undo a reorganisation may need */

struct prune_list {
    struct blockfile_info *files;
    size_t n, cap;
    int32_t below; /* highest block a file may have */
};

static void consider_file(void *ctx, const struct blockfile_info *info)
{
    struct prune_list *list = (struct prune_list *)ctx;
    if (info->pruned || info->blocks == 0 || info->height_last > list->below)
        return;
    if (list->n == list->cap) {
        list->cap = 2 * list->cap + 16;
        list->files = xrealloc(list->files, list->cap * sizeof(*list->files));
    }
    list->files[list->n++] = *info;
}

static int by_height(const void *a, const void *b)
{
    const struct blockfile_info *x = (const struct blockfile_info *)a;
    const struct blockfile_info *y = (const struct blockfile_info *)b;
    return (x->height_last > y->height_last) - (x->height_last < y->height_last);
}

static int32_t highest_prunable(const struct chain *c)
{
    int32_t keep = c->o.prune_keep > KEEP_MIN ? c->o.prune_keep : KEEP_MIN;
    return c->tip->height - keep;
}

static void list_files(struct chain *c, int32_t below, struct prune_list *list)
{
    *list = (struct prune_list){ .below = below };
    blockfiles_each(c->files, consider_file, list);
    if (list->n > 1)
        qsort(list->files, list->n, sizeof(*list->files), by_height);
}

struct node_list_of_files {
    const struct prune_list *list;
    struct header_node **nodes;
    size_t n, cap;
};

static void collect_node(void *ctx, struct header_node *node)
{
    struct node_list_of_files *l = (struct node_list_of_files *)ctx;
    if (!(atomic_load(&node->status) & HS_HAVE_DATA))
        return;
    for (size_t i = 0; i < l->list->n; i++) {
        if (l->list->files[i].file != node->data.file)
            continue;
        if (l->n == l->cap) {
            l->cap = 2 * l->cap + 256;
            l->nodes = xrealloc(l->nodes, l->cap * sizeof(struct header_node *));
        }
        l->nodes[l->n++] = node;
        return;
    }
}

static enum err remove_files(struct chain *c, const struct prune_list *list, struct error *e)
{
    struct node_list_of_files l = { .list = list };
    enum err rc = flush_all(c, e);
    if (rc)
        return rc;
    header_index_each(c->index, collect_node, &l);
    for (size_t i = 0; i < l.n; i++)
        header_index_set_status(c->index, l.nodes[i], 0, HS_HAVE_DATA | HS_HAVE_UNDO);
    for (size_t i = 0; i < list->n; i++)
        blockfiles_mark_pruned(c->files, list->files[i].file);
    free(l.nodes);
    rc = flush_index(c, e);
    if (!rc)
        rc = blockfiles_remove_pruned(c->files, e);
    log_debug(LOGC_PRUNE, "pruned %zu block files below height %d", list->n, list->below);
    return rc;
}

enum err prune_if_needed(struct chain *c, struct error *e)
{
    struct prune_list list;
    uint64_t used = blockfiles_disk_bytes(c->files);
    if (c->o.prune_target_bytes <= 1 || used <= c->o.prune_target_bytes ||
        c->tip->height <= c->params.prune_after_height)
        return OK;
    list_files(c, highest_prunable(c), &list);
    size_t n = 0;
    while (n < list.n && used > c->o.prune_target_bytes) {
        uint64_t bytes = list.files[n].data_size + list.files[n].undo_size;
        used -= bytes < used ? bytes : used;
        n++;
    }
    list.n = n;
    enum err rc = n > 0 ? remove_files(c, &list, e) : OK;
    free(list.files);
    return rc;
}

/* Height of the last block of the active chain, from the start on, that is no longer stored. */
static int32_t last_pruned(struct chain *c)
{
    int32_t height = 0;
    const struct header_node *node;
    while ((node = header_index_at(c->index, height + 1)) != NULL && node != c->tip &&
           !(atomic_load(&node->status) & HS_HAVE_DATA))
        height++;
    return height;
}

enum err prune_to_height(struct chain *c, int32_t height, int32_t *last, struct error *e)
{
    struct prune_list list;
    int32_t below = highest_prunable(c);
    if (c->o.prune_target_bytes == 0)
        return error_set(e, ERR_RANGE, "Cannot prune blocks because node is not in prune mode.");
    list_files(c, height < below ? height : below, &list);
    enum err rc = list.n > 0 ? remove_files(c, &list, e) : OK;
    free(list.files);
    *last = last_pruned(c);
    return rc;
}
