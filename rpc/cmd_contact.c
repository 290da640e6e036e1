/* contactadd, contactlist, contactremove, contactset: whose keys the user knows. */
#include <config.h>

#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/channel_call.h"
#include "rpc/contact_arg.h"
#include "rpc/contact_find.h"

#define LIST_BATCH 64 /* copied at a time */

/* What the channel thread does for a command. */
struct contact_work {
    struct channels_request r;
    const char *name;   /* as given */
    struct json_object *policy; /* what is to be set */
    uint16_t default_port;
    struct contact in;  /* what is to be added */
    struct contact out; /* what has become of it */
};

/* Until it is on disk. */
struct contact_waiting {
    struct channels *c;
    struct contact_work *work;
    struct contact was; /* before the change */
    uint64_t id;
    void *answer;
};

static void *wait_for(struct channels *c, struct contact_work *work, const struct contact *contact)
{
    struct contact_waiting *wait = xcalloc(1, sizeof(*wait));
    *wait = (struct contact_waiting){ .c = c, .work = work, .was = *contact, .id = contact->id,
                                      .answer = rpc_channel_answer_ctx(c, &work->r) };
    return wait;
}

/* Sessions under all its keys end: one under a former key may have streams still. */
static void tell_keys(struct contact_waiting *wait, bool removed)
{
    if (wait->was.has_key)
        channels_contact_changed(wait->c, wait->was.key);
    for (size_t i = 0; removed && i < wait->was.n_former; i++)
        channels_contact_changed(wait->c, wait->was.former[i]);
}

static void on_disk(void *ctx, enum err rc, const struct error *e)
{
    struct contact_waiting *wait = ctx;
    const struct contact *now = contacts_by_id(channels_contacts(wait->c), wait->id);
    if (now && channels_is_waiting(wait->c, &wait->work->r))
        wait->work->out = *now;
    tell_keys(wait, !now);
    if (now && now->has_key && !mem_equal_var(now->key, wait->was.key, sizeof now->key))
        channels_contact_changed(wait->c, now->key);
    rpc_channel_answer(wait->answer, rc, e);
    free(wait);
}

static void stop_waiting(struct contact_waiting *wait)
{
    free(wait->answer);
    free(wait);
}

/* --- contactadd ----------------------------------------------------------------------------- */

static void begin_add(struct channels *c, struct channels_request *r)
{
    struct contact_work *work = (struct contact_work *)r;
    struct error e = { .code = OK };
    struct contact *made;
    if (work->in.has_key && channels_is_own_key(c, work->in.key)) {
        error_set(&e, ERR_RANGE, "that is the key of an identity of this node");
        channels_answer(c, r, e.code, &e);
        return;
    }
    struct contact_waiting *wait = wait_for(c, work, &work->in);
    const enum err rc = contacts_add(channels_contacts(c), &work->in, on_disk, wait, &made, &e);
    if (!rc) {
        wait->id = made->id;
        return;
    }
    stop_waiting(wait);
    channels_answer(c, r, rc, &e);
}

static struct rpc_result cmd_contactadd(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct rpc_result result;
    const char *alias = rpc_text(call, 1, "");
    if (!c)
        return rpc_failed(call);
    if (strlen(alias) > CONTACT_ALIAS_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "the alias has more than %d bytes",
                        CONTACT_ALIAS_MAX);
    struct contact_work *work = xcalloc(1, sizeof(*work));
    bool good = rpc_contact_parse(call, 0, &work->in);
    (void)snprintf(work->in.alias, sizeof work->in.alias, "%s", alias);
    good = good && rpc_channel_ask(call, c, begin_add, &work->r);
    if (good && !work->out.has_key)
        rpc_contact_ask_there(call, &work->out);
    if (good)
        rpc_contact_write(call, &work->out);
    result = good ? rpc_done() : rpc_failed(call);
    free(work);
    return result;
}

/* --- contactlist ---------------------------------------------------------------------------- */

struct batch {
    uint64_t after;
    size_t n;
    struct contact *list;
};

static void copy_batch(struct channels *c, void *ctx)
{
    struct batch *b = ctx;
    b->n = 0;
    for (const struct contact *contact = contacts_next(channels_contacts(c), b->after);
         contact && b->n < LIST_BATCH; contact = contacts_next(channels_contacts(c), b->after)) {
        b->list[b->n++] = *contact;
        b->after = contact->id;
    }
}

static struct rpc_result cmd_contactlist(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct batch b = { .after = 0, .n = LIST_BATCH };
    if (!c)
        return rpc_failed(call);
    b.list = xcalloc(LIST_BATCH, sizeof(*b.list));
    jw_array_open(call->out);
    while (b.n == LIST_BATCH && !rpc_given_up(call)) {
        if (!channels_call(c, copy_batch, &b))
            b.n = 0;
        for (size_t i = 0; i < b.n; i++)
            rpc_contact_write(call, &b.list[i]);
    }
    jw_array_close(call->out);
    free(b.list);
    return rpc_done();
}

/* --- contactremove -------------------------------------------------------------------------- */

static void begin_remove(struct channels *c, struct channels_request *r)
{
    struct contact_work *work = (struct contact_work *)r;
    struct contact *contact = rpc_channel_contact(c, r, work->name);
    if (!contact)
        return;
    struct contact_waiting *wait = wait_for(c, work, contact);
    contacts_remove(channels_contacts(c), contact, on_disk, wait);
}

static struct rpc_result cmd_contactremove(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    if (!c)
        return rpc_failed(call);
    struct contact_work *work = xcalloc(1, sizeof(*work));
    work->name = rpc_text(call, 0, "");
    const bool good = rpc_channel_ask(call, c, begin_remove, &work->r);
    if (good)
        jw_null(call->out);
    free(work);
    return good ? rpc_done() : rpc_failed(call);
}

/* --- contactset ----------------------------------------------------------------------------- */

static enum err change(struct channels *c, struct contact_work *work, struct contact *contact,
                       struct error *e)
{
    struct contact next = *contact;
    enum err rc = rpc_contact_set(work->policy, work->default_port, &next, e);
    if (!rc && strcmp(next.identity, contact->identity) != 0)
        rc = channels_check_choice(c, next.identity, e);
    if (rc)
        return rc;
    struct contact_waiting *wait = wait_for(c, work, contact);
    rc = contacts_change(channels_contacts(c), &next, on_disk, wait, e);
    if (rc)
        stop_waiting(wait);
    return rc;
}

/* All on the channel thread: a session may change a contact at any moment. */
static void begin_set(struct channels *c, struct channels_request *r)
{
    struct contact_work *work = (struct contact_work *)r;
    struct contact *contact = rpc_channel_contact(c, r, work->name);
    struct error e = { .code = OK };
    if (contact && change(c, work, contact, &e))
        channels_answer(c, r, e.code, &e);
}

static struct rpc_result cmd_contactset(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    if (!c)
        return rpc_failed(call);
    struct contact_work *work = xcalloc(1, sizeof(*work));
    work->name = rpc_text(call, 0, "");
    work->policy = call->argv[1];
    work->default_port = rpc_contact_default_port(call);
    const bool good = rpc_channel_ask(call, c, begin_set, &work->r);
    if (good)
        rpc_contact_write(call, &work->out);
    free(work);
    return good ? rpc_done() : rpc_failed(call);
}

#define CONTACT_RESULT \
    "{alias, key (when it is known), former_keys:[key...], " \
    "identity:\"of ours, empty: the first\", " \
    "policy:{bare, keep, follow_successor, messages, files, accept_files, relay, relay_for_us, " \
    "padding, file_quota}, addresses:[\"[address]:port\"...], successors:[{of, key, seq, issued, " \
    "state:\"proposed\", \"taken\" or \"past\", contradicted}...], added, seen:unix time, " \
    "0 when never}"

static const struct rpc_command rows[] = {
    { .name = "contactadd",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_contactadd,
      .help = "Adds a contact: a key (66 hex digits), key@address, an IPv6 address or a signed "
              "record in hex, and a name for it. An address may have a port: [2001:db8::1]:9944. "
              "The key of an address is that of the record which proves it: one that is known, "
              "else one that comes later; the node at the address is asked once, on the port for "
              "peers.",
      .result = CONTACT_RESULT,
      .example = "\"034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa@"
                 "[2001:db8::1]:9944\" alice",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Key, key@address, address, or record" },
                  { "alias", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Its name, at most 64 bytes (default: the first digits of its key)" } } },
    { .name = "contactlist",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_contactlist,
      .help = "All contacts.",
      .result = "[" CONTACT_RESULT "...]",
      .example = "" },
    { .name = "contactremove",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_contactremove,
      .help = "Removes a contact with all that waits for it. Its session ends.",
      .result = "null",
      .example = "alice",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" } } },
    { .name = "contactset",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_contactset,
      .help = "Changes a contact; what is not named stays. alias: another name. identity: which of "
              "ours it talks to, empty for the first registered that has no successor. addresses: "
              "where it is dialled. "
              "bare: it need not prove an address. keep: dialled whenever it is not connected. "
              "messages, files: it may send them; accept_files: without asking, up to file_quota "
              "bytes. relay: it may reach our other contacts through us; relay_for_us: we may "
              "reach others through it. padding: what we send it has the sizes of "
              "-channelpadding=256. follow_successor: a new key that it announces is taken "
              "without "
              "asking. successor: this key, which it has announced, is its key from now on: ask it "
              "by another way first, since a thief of the old key can announce one too; where "
              "announcements contradict each other one of them is a theft.",
      .result = CONTACT_RESULT,
      .example = "alice '{\"keep\":true}'",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "policy", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON,
                    "{alias, identity, addresses, successor, and members of policy}" } } },
};
const struct rpc_group rpc_contact_commands = { rows, COUNT_OF(rows) };
