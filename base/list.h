/*
 * Doubly linked lists through links embedded in the items: no allocation, removal from the middle.
 * A list is a ring with its head in it. The owner of the list locks, if anybody must.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link { struct list_link *prev, *next; };
struct list {
    struct list_link head;
    size_t n;
};

/* The item around a link that is its member of this name. */
#define LIST_ITEM(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* Before the first use; the list must not move afterwards. */
static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
    l->n = 0;
}

static inline void list_append(struct list *l, struct list_link *link)
{
    link->next = &l->head;
    link->prev = l->head.prev;
    l->head.prev->next = link;
    l->head.prev = link;
    l->n++;
}

/* The link must be in this list. */
static inline void list_remove(struct list *l, struct list_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
    l->n--;
}

/* First and last link, NULL when there is none; the one after a link, NULL at the end. */
static inline struct list_link *list_first(const struct list *l)
{
    return l->n ? l->head.next : NULL;
}
static inline struct list_link *list_last(const struct list *l)
{
    return l->n ? l->head.prev : NULL;
}
static inline struct list_link *list_next(const struct list *l, const struct list_link *link)
{
    return link->next == &l->head ? NULL : link->next;
}

#endif
