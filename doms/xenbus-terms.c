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
    if (!old) {
        xenstore_write_uint(back, DOMS_XS_VERSION, DOMS_XENBUS_VERSION);
    }
    if (!old || old->n_queues != now->n_queues) {
        xenstore_write_uint(back, DOMS_XS_MAX_QUEUES, now->n_queues);
    }
    if (!old || old->arena_size != now->arena_size) {
        xenstore_write_uint(back, DOMS_XS_ARENA, now->arena_size);
    }
    if (!old || old->features != now->features) {
        bool csum = (now->features & DOMS_F_CSUM) != 0;
        bool tso = (now->features & DOMS_F_TSO) != 0;

        xenstore_write_uint(back, DOMS_XS_FEATURE_CSUM, csum);
        xenstore_write_uint(back, DOMS_XS_FEATURE_TSO, tso);
    }
    if (!old || !eth_addr_equals(old->mac, now->mac)) {
        char mac[ETH_ADDR_STRLEN + 1];

        snprintf(mac, sizeof mac, ETH_ADDR_FMT, ETH_ADDR_ARGS(now->mac));
        xenstore_write(back, DOMS_XS_MAC, mac);
    }
    if (!old || old->mtu != now->mtu) {
        xenstore_write_uint(back, DOMS_XS_MTU, now->mtu);
    }
    if (!old || old->link_up != now->link_up) {
        xenstore_write_uint(back, DOMS_XS_LINK, now->link_up);
    }
}

/* The wish. */

/* Returns true if the front of directory 'front' has named feature 'key'. */
static bool
front_names(const char *front, const char *key)
{
    uint64_t value;

    return !xenstore_read_uint(&value, 1, front, key) && value;
}

/* Reads into '*wish' what the front of directory 'front', which was told
 * 'offer', asks for.  Returns NULL, or what is wrong with it. */
const char *
xenbus_wish_read(struct xenbus_wish *wish, const char *front,
                 const struct xenbus_offer *offer)
{
    uint64_t version, n_queues, arena, epoch, reference;
    uint64_t features = 0;

    if (xenstore_read_uint(&version, UINT32_MAX, front, DOMS_XS_VERSION)
        || version != DOMS_XENBUS_VERSION) {
        return "the front speaks another version; install a doms_front of "
               "the switch's release";
    }
    if (xenstore_read_uint(&n_queues, offer->n_queues, front, DOMS_XS_QUEUES)
        || !n_queues) {
        return "queues: not between 1 and max-queues";
    }
    if (xenstore_read_uint(&arena, UINT32_MAX, front, DOMS_XS_ARENA)
        || arena != offer->arena_size) {
        return "arena: not what the switch offers";
    }
    if (xenstore_read_uint(&epoch, UINT32_MAX, front, DOMS_XS_EPOCH)
        || !epoch) {
        return "epoch: not a number of 32 bits but 0";
    }
    if (xenstore_read_uint(&reference, UINT32_MAX, front, DOMS_XS_REFERENCE)
        || !reference) {
        return "reference: not a grant";
    }
    if (front_names(front, DOMS_XS_FEATURE_CSUM)) {
        features |= DOMS_F_CSUM;
    }
    if (front_names(front, DOMS_XS_FEATURE_TSO)) {
        features |= DOMS_F_TSO;
    }
    wish->geometry = (struct doms_geometry){ n_queues, arena };
    wish->features = offer->features & features;
    wish->epoch = epoch;
    wish->reference = reference;
    return NULL;
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
