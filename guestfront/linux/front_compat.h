/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between Linux 5.10 and 6.12, as far as this driver uses it.
 */
#ifndef DOMS_FRONT_COMPAT_H
#define DOMS_FRONT_COMPAT_H

#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
static inline void doms_compat_set_mac(struct net_device *dev, const u8 *mac)
{
	ether_addr_copy(dev->dev_addr, mac);
}
#else
static inline void doms_compat_set_mac(struct net_device *dev, const u8 *mac)
{
	eth_hw_addr_set(dev, mac);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 19, 0)
static inline void doms_compat_tso_max(struct net_device *dev, u32 size)
{
	netif_set_gso_max_size(dev, size);
}
#else
static inline void doms_compat_tso_max(struct net_device *dev, u32 size)
{
	netif_set_tso_max_size(dev, size);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#define doms_compat_napi_add(DEV, NAPI, POLL) \
	netif_napi_add(DEV, NAPI, POLL, NAPI_POLL_WEIGHT)
#else
#define doms_compat_napi_add(DEV, NAPI, POLL) netif_napi_add(DEV, NAPI, POLL)
#endif

#endif /* DOMS_FRONT_COMPAT_H */
