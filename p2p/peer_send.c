/*
 * The send queue: messages in order, each a piece of memory, a part of a file, or both. Memory goes
 * out with writev, file parts with sendfile from the page cache, so a block is never copied here.
 * What is queued during one callback is written once before the loop polls again.
 */
#include "p2p/net_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define FILE_CHUNK (4u << 20) /* one turn of a peer; others get theirs in between */
#define IOV_COUNT 32
#define PAYLOAD_EXT_MAX UINT64_C(0xffffffff)

static bool can_send(const struct peer *p)
{
    return p->state != PEER_CLOSING && p->state != PEER_CONNECTING;
}

/* C8: answers pile up, so its requests wait until it reads */
static void check_room(struct peer *p)
{
    if (p->out.memory > SEND_SOFT_LIMIT && !(p->paused & PAUSE_SEND)) {
        p->drip_ms = clock_mono_ms();
        peer_set_pause(p, PAUSE_SEND);
    }
}

static void queue_item(struct peer *p, struct send_item *it)
{
    if (p->out.tail != NULL)
        p->out.tail->next = it;
    else
        p->out.head = it;
    p->out.tail = it;
    p->out.memory += it->len;
    p->out.file_bytes += it->file_left;
    p->out.files += it->fd >= 0;
    p->net->send_memory += it->len;
    p->net->send_files += it->file_left;
    check_room(p);
    if (p->out.memory > p->net->c.max_send_buffer)
        peer_disconnect(p, "send buffer full");
    else if (!p->writing)
        net_kick(p);
}

static struct send_item *item_new(uint8_t *data, size_t len)
{
    struct send_item *it = xcalloc(1, sizeof(*it));
    it->data = data;
    it->len = len;
    it->fd = -1;
    return it;
}

static void item_free(struct peer *p, struct send_item *it)
{
    uint64_t left = it->len - it->off;
    p->out.memory -= left;
    p->net->send_memory -= left;
    p->out.file_bytes -= it->file_left;
    p->net->send_files -= it->file_left;
    if (it->fd >= 0) {
        p->out.files--;
        close(it->fd);
    }
    free(it->data);
    free(it);
}

void peer_send_clear(struct peer *p)
{
    while (p->out.head != NULL) {
        struct send_item *it = p->out.head;
        p->out.head = it->next;
        item_free(p, it);
    }
    p->out.tail = NULL;
}

void peer_send_raw(struct peer *p, const void *data, size_t len)
{
    if (len == 0 || p->state == PEER_CLOSING)
        return;
    uint8_t *copy = xmalloc(len);
    memcpy(copy, data, len);
    queue_item(p, item_new(copy, len));
}

void peer_send(struct peer *p, enum msg_id id, const void *payload, size_t len)
{
    if (!can_send(p))
        return;
    uint8_t *data = try_alloc(FRAME_HEADER_SIZE + len, 1);
    if (data == NULL) {
        peer_disconnect(p, "no memory for a message to it");
        return;
    }
    uint8_t head[FRAME_EXT_HEADER_SIZE], checksum[4];
    frame_checksum(checksum, payload, len);
    frame_header_put(head, p->net->c.magic, msg_row(id)->name, len, checksum);
    memcpy(data, head, FRAME_HEADER_SIZE);
    if (len > 0)
        memcpy(data + FRAME_HEADER_SIZE, payload, len);
    p->msg_sent[id] += FRAME_HEADER_SIZE + len;
    queue_item(p, item_new(data, FRAME_HEADER_SIZE + len));
}

void peer_send_buf(struct peer *p, enum msg_id id, struct buf *b)
{
    if (b->len <= READ_CHUNK) {
        peer_send(p, id, b->data, b->len);
        buf_clear(b);
        return;
    }
    if (!can_send(p) || b->len > PAYLOAD_EXT_MAX) {
        buf_clear(b);
        return;
    }
    uint8_t head[FRAME_EXT_HEADER_SIZE], checksum[4];
    frame_checksum(checksum, b->data, b->len);
    size_t n = frame_header_put(head, p->net->c.magic, msg_row(id)->name, b->len, checksum);
    peer_send_raw(p, head, n);
    p->msg_sent[id] += n + b->len;
    size_t len;
    uint8_t *data = buf_take(b, &len);
    queue_item(p, item_new(data, len));
}

void peer_send_file(struct peer *p, enum msg_id id, int fd, uint64_t offset, uint64_t len,
                    const uint8_t checksum[4])
{
    bool extended = len > PAYLOAD_EXT_MAX;
    if (!can_send(p) || (extended && p->version < MSG_VERSION_EXTMSG)) {
        close(fd);
        return;
    }
    uint8_t *head = xmalloc(FRAME_EXT_HEADER_SIZE);
    size_t n = frame_header_put(head, p->net->c.magic, msg_row(id)->name, len, checksum);
    struct send_item *it = item_new(head, n);
    it->fd = fd;
    it->file_off = offset;
    it->file_left = len;
    it->file_ready = offset;
    p->msg_sent[id] += n + len;
    queue_item(p, it);
}

/* --- towards the socket --- */

static void pop_head(struct peer *p)
{
    struct send_item *it = p->out.head;
    p->out.head = it->next;
    if (p->out.head == NULL)
        p->out.tail = NULL;
    item_free(p, it);
}

static void memory_sent(struct peer *p, size_t n)
{
    while (n > 0) {
        struct send_item *it = p->out.head;
        size_t part = it->len - it->off < n ? it->len - it->off : n;
        it->off += part;
        p->out.memory -= part;
        p->net->send_memory -= part;
        n -= part;
        if (it->off == it->len && it->file_left == 0)
            pop_head(p);
    }
}

static ssize_t write_memory(struct peer *p)
{
    struct iovec iov[IOV_COUNT];
    int n = 0;
    for (struct send_item *it = p->out.head; it != NULL && n < IOV_COUNT; it = it->next) {
        if (it->off < it->len)
            iov[n++] =
                (struct iovec){ .iov_base = it->data + it->off, .iov_len = it->len - it->off };
        if (it->file_left > 0)
            break;
    }
    ssize_t sent = writev(p->fd, iov, n);
    if (sent > 0)
        memory_sent(p, (size_t)sent);
    return sent;
}

static ssize_t write_file(struct peer *p)
{
    struct send_item *it = p->out.head;
    off_t off = (off_t)it->file_off;
    file_warm_ahead(p, it, FILE_CHUNK);
    size_t want = it->file_ready - it->file_off < FILE_CHUNK
                      ? (size_t)(it->file_ready - it->file_off)
                      : FILE_CHUNK;
    if (want == 0) {
        errno = EINPROGRESS; /* net_kick comes when the disk has delivered */
        return -1;
    }
    ssize_t sent = sendfile(p->fd, it->fd, &off, want);
    if (sent == 0) {
        errno = EIO; /* the file is shorter than the message promised */
        return -1;
    }
    if (sent < 0)
        return -1;
    it->file_off += (uint64_t)sent;
    it->file_left -= (uint64_t)sent;
    p->out.file_bytes -= (uint64_t)sent;
    p->net->send_files -= (uint64_t)sent;
    if (it->file_left == 0)
        pop_head(p);
    return sent;
}

static void set_writing(struct peer *p, bool on)
{
    if (p->writing == on || p->write_ev == NULL)
        return;
    if (on)
        event_add(p->write_ev, NULL);
    else
        event_del(p->write_ev);
    p->writing = on;
}

/* Tells whoever waits for room: the peer's own requests, and node's answers in progress. */
static void announce_room(struct peer *p)
{
    struct net *net = p->net;
    if (p->out.memory <= SEND_SOFT_LIMIT / 2)
        peer_clear_pause(p, PAUSE_SEND);
    bool room = p->out.memory <= SEND_SOFT_LIMIT / 2 &&
                p->out.file_bytes <= net->c.max_send_buffer / 2 &&
                p->out.files <= SEND_FILES_MAX / 2;
    if (!p->room_wanted || !room || p->state != PEER_READY)
        return;
    p->room_wanted = false;
    if (net->h.on_send_room != NULL)
        net->h.on_send_room(net->h.ctx, p);
}

void peer_flush(struct peer *p)
{
    size_t turn = 0;
    bool waits_for_disk = false;
    while (p->out.head != NULL && turn < FILE_CHUNK && p->state != PEER_CLOSING) {
        bool memory = p->out.head->off < p->out.head->len;
        ssize_t n = memory ? write_memory(p) : write_file(p);
        if (n < 0) {
            waits_for_disk = errno == EINPROGRESS;
            if (errno != EAGAIN && errno != EINTR && !waits_for_disk)
                peer_disconnect(p, strerror(errno));
            break;
        }
        turn += (size_t)n;
    }
    if (turn > 0) {
        p->last_send_ms = clock_mono_ms();
        p->last_send_s = clock_now();
        p->bytes_sent += turn;
        net_count_sent(p->net, turn);
    }
    if (p->state == PEER_CLOSING)
        return;
    set_writing(p, p->out.head != NULL && !waits_for_disk);
    if (turn > 0)
        announce_room(p);
}

void peer_on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct peer *p = arg;
    if (p->tcp_up)
        peer_flush(p);
    else
        dial_finish(p);
}

uint64_t peer_send_queue_total(const struct peer *p)
{
    return p->out.memory + p->out.file_bytes;
}

bool peer_has_send_room(struct peer *p)
{
    bool room = p->out.memory <= SEND_SOFT_LIMIT &&
                p->out.file_bytes <= p->net->c.max_send_buffer && p->out.files < SEND_FILES_MAX;
    if (!room)
        p->room_wanted = true;
    return room;
}

/* --- messages that node builds from values --- */

void peer_send_getheaders(struct peer *p, const uint8_t *hashes, size_t n,
                          const struct block_hash *stop)
{
    struct msg_locator m = { .version = MSG_PROTOCOL_VERSION, .hashes = hashes, .n = n };
    if (stop != NULL)
        m.stop = *stop;
    struct buf b;
    buf_init(&b);
    msg_locator_write(&b, &m);
    peer_send_buf(p, MSG_GETHEADERS, &b);
}

void peer_send_headers(struct peer *p, const struct block_header *headers, size_t n)
{
    struct buf b;
    buf_init(&b);
    msg_headers_write(&b, headers, n);
    peer_send_buf(p, MSG_HEADERS, &b);
}

void peer_send_sendcmpct(struct peer *p, bool announce)
{
    struct buf b;
    buf_init(&b);
    msg_sendcmpct_write(&b, announce, MSG_COMPACT_VERSION);
    peer_send_buf(p, MSG_SENDCMPCT, &b);
}

/* spec p2p 1.5: four times our own limit, or what the peer's protoconf says if that is less */
static size_t inv_per_message(const struct peer *p)
{
    uint64_t own = (uint64_t)p->net->c.max_protocol_payload * 4;
    return msg_inv_max(own < p->max_recv_payload ? own : p->max_recv_payload);
}

void peer_send_inv(struct peer *p, enum msg_id id, const struct inv_item *items, size_t n)
{
    size_t most = inv_per_message(p);
    for (size_t i = 0; i < n; i += most) {
        struct buf b;
        buf_init(&b);
        msg_inv_write(&b, items + i, n - i < most ? n - i : most);
        peer_send_buf(p, id, &b);
    }
}

void peer_send_reject(struct peer *p, enum msg_id about, enum reject_code code, const char *reason,
                      const uint8_t *hash)
{
    struct buf b;
    buf_init(&b);
    msg_reject_write(&b, msg_row(about)->name, code, reason, hash);
    peer_send_buf(p, MSG_REJECT, &b);
}
