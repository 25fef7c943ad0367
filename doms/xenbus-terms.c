/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/xenbus-terms.h"

#include <stdio.h>
#include <string.h>

#include "common/xenbus.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "packets.h"

/* The offer. */

/* Makes '*offer' what the port of the guest 'peer' is now.  Returns false if
 * there is no such port. */
bool
xenbus_offer_from_port(struct xenbus_offer *offer, const char *peer)
{
    struct doms_port_config config;

    if (!doms_ports_lookup(peer, &config)) {
        return false;
    }
    memset(offer, 0, sizeof *offer);
    offer->n_queues = config.n_queues;
    offer->features = config.features & (DOMS_F_CSUM | DOMS_F_TSO);
    offer->arena_size = config.arena_is_set            ? config.arena_size
                        : offer->features & DOMS_F_TSO ? DOMS_ARENA_TSO_DEFAULT
                                                       : DOMS_ARENA_DEFAULT;
    offer->mac = config.mac;
    offer->mtu = config.mtu;
    offer->link_up = config.link_up;
    return true;
}

/* Writes 'now' to the backend's directory 'back', but for what already stands
 * there: 'old', or nothing if that is NULL. */
void
xenbus_offer_write(const char *back, const struct xenbus_offer *old,
                   const struct xenbus_offer *now)
{
    struct xenstore_batch batch = { .n = 0 };

    if (!old) {
        xenstore_batch_write_uint(&batch, back, DOMS_XS_VERSION,
                                  DOMS_XENBUS_VERSION);
    }
    if (!old || old->n_queues != now->n_queues) {
        xenstore_batch_write_uint(&batch, back, DOMS_XS_MAX_QUEUES,
                                  now->n_queues);
    }
    if (!old || old->arena_size != now->arena_size) {
        xenstore_batch_write_uint(&batch, back, DOMS_XS_ARENA,
                                  now->arena_size);
    }
    if (!old || old->features != now->features) {
        bool csum = (now->features & DOMS_F_CSUM) != 0;
        bool tso = (now->features & DOMS_F_TSO) != 0;

        xenstore_batch_write_uint(&batch, back, DOMS_XS_FEATURE_CSUM, csum);
        xenstore_batch_write_uint(&batch, back, DOMS_XS_FEATURE_TSO, tso);
    }
    if (!old || !eth_addr_equals(old->mac, now->mac)) {
        char mac[ETH_ADDR_STRLEN + 1];

        snprintf(mac, sizeof mac, ETH_ADDR_FMT, ETH_ADDR_ARGS(now->mac));
        xenstore_batch_write(&batch, back, DOMS_XS_MAC, mac);
    }
    if (!old || old->mtu != now->mtu) {
        xenstore_batch_write_uint(&batch, back, DOMS_XS_MTU, now->mtu);
    }
    if (!old || old->link_up != now->link_up) {
        xenstore_batch_write_uint(&batch, back, DOMS_XS_LINK, now->link_up);
    }
    xenstore_batch_run(&batch);
    xenstore_batch_clear(&batch);
}

/* The wish. */

/* A front's keys. */
enum {
    WISH_VERSION,
    WISH_QUEUES,
    WISH_ARENA,
    WISH_EPOCH,
    WISH_REFERENCE,
    WISH_CSUM,
    WISH_TSO,
    N_WISHES
};
static const char *const wish_keys[N_WISHES] = {
    [WISH_VERSION] = DOMS_XS_VERSION,     [WISH_QUEUES] = DOMS_XS_QUEUES,
    [WISH_ARENA] = DOMS_XS_ARENA,         [WISH_EPOCH] = DOMS_XS_EPOCH,
    [WISH_REFERENCE] = DOMS_XS_REFERENCE, [WISH_CSUM] = DOMS_XS_FEATURE_CSUM,
    [WISH_TSO] = DOMS_XS_FEATURE_TSO,
};

/* Stores in '*value' what 'op' has read, a number up to 'max'.  Returns true
 * if it is one. */
static bool
read_number(uint64_t *value, uint64_t max, const struct xenstore_op *op)
{
    return !op->error && !xenstore_parse_uint(value, max, op->value);
}

/* Returns true if the front has named the feature that 'op' has read. */
static bool
front_names(const struct xenstore_op *op)
{
    uint64_t value;

    return read_number(&value, 1, op) && value;
}

/* Makes '*wish' of what has been read into 'ops'.  The guest was told 'offer'.
 * Returns NULL, or what is wrong with it. */
static const char *
wish_parse(struct xenbus_wish *wish, const struct xenstore_op ops[N_WISHES],
           const struct xenbus_offer *offer)
{
    uint64_t version, n_queues, arena, epoch, reference;
    uint64_t features = 0;

    if (!read_number(&version, UINT32_MAX, &ops[WISH_VERSION])
        || version != DOMS_XENBUS_VERSION) {
        return "the front speaks another version; install a doms_front of "
               "the switch's release";
    }
    if (!read_number(&n_queues, offer->n_queues, &ops[WISH_QUEUES])
        || !n_queues) {
        return "queues: not between 1 and max-queues";
    }
    if (!read_number(&arena, UINT32_MAX, &ops[WISH_ARENA])
        || arena != offer->arena_size) {
        return "arena: not what the switch offers";
    }
    if (!read_number(&epoch, UINT32_MAX, &ops[WISH_EPOCH]) || !epoch) {
        return "epoch: not a number of 32 bits but 0";
    }
    if (!read_number(&reference, UINT32_MAX, &ops[WISH_REFERENCE])
        || !reference) {
        return "reference: not a grant";
    }
    if (front_names(&ops[WISH_CSUM])) {
        features |= DOMS_F_CSUM;
    }
    if (front_names(&ops[WISH_TSO])) {
        features |= DOMS_F_TSO;
    }
    wish->geometry = (struct doms_geometry){ n_queues, arena };
    wish->features = offer->features & features;
    wish->epoch = epoch;
    wish->reference = reference;
    return NULL;
}

/* Reads into '*wish' what the front of directory 'front', which was told
 * 'offer', asks for.  Returns NULL, or what is wrong with it. */
const char *
xenbus_wish_read(struct xenbus_wish *wish, const char *front,
                 const struct xenbus_offer *offer)
{
    struct xenstore_batch batch = { .n = 0 };
    const char *why;

    for (size_t i = 0; i < N_WISHES; i++) {
        xenstore_batch_read(&batch, front, wish_keys[i]);
    }
    xenstore_batch_run(&batch);
    why = wish_parse(wish, batch.ops, offer);
    xenstore_batch_clear(&batch);
    return why;
}

/* Returns true if the front's health page, which is shared, says what the
 * front has said in xenstore. */
bool
xenbus_wish_agrees(const struct xenbus_wish *wish,
                   const struct doms_health *health)
{
    return DOMS_LOAD_ACQUIRE(&health->magic) == DOMS_ABI_MAGIC
           && DOMS_READ_ONCE(health->version) == DOMS_ABI_VERSION
           && DOMS_READ_ONCE(health->n_queues) == wish->geometry.n_queues
           && DOMS_READ_ONCE(health->arena_size) == wish->geometry.arena_size
           && DOMS_READ_ONCE(health->epoch) == wish->epoch;
}

/* Returns true if 'epoch' still stands in the front's directory 'front'. */
bool
xenbus_epoch_stands(const char *front, uint32_t epoch)
{
    uint64_t value;

    return !xenstore_read_uint(&value, UINT32_MAX, front, DOMS_XS_EPOCH)
           && value == epoch;
}
