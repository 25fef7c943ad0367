// SPDX-License-Identifier: GPL-2.0
/*
 * The module: its parameters, and the list of fronts.
 *
 * A front is found by its handle.  If its device goes away without having
 * been detached, as after a restore until Dom0 has made the device again, the
 * front is parked: it keeps its interface, and the next device of the same
 * handle takes it over.
 */
#include <linux/err.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <xen/platform_pci.h>
#include <xen/xen.h>

#include "front.h"

#ifndef DOMS_VERSION
#define DOMS_VERSION "0"
#endif

static unsigned int queues;
module_param(queues, uint, 0444);
MODULE_PARM_DESC(queues, "Queue pairs of an interface; 0: one a processor");

static unsigned int spin_us = 50;
module_param(spin_us, uint, 0644);
MODULE_PARM_DESC(spin_us,
		 "Microseconds that an idle thread spins before it sleeps");

static unsigned int sleep_max_us = 500;
module_param(sleep_max_us, uint, 0644);
MODULE_PARM_DESC(sleep_max_us,
		 "Longest sleep of an idle thread in microseconds; 0: spin always");

static bool yield_vcpu;
module_param_named(yield, yield_vcpu, bool, 0644);
MODULE_PARM_DESC(yield, "A spinning thread lets Xen run other vCPUs");

unsigned int doms_front_hold_ms = 15000;
module_param_named(hold_ms, doms_front_hold_ms, uint, 0644);
MODULE_PARM_DESC(hold_ms,
		 "Milliseconds that the carrier is kept when the switch has died");

/* Limits of what ethtool -C may set too. */
#define SPIN_MAX_US 1000000u

struct workqueue_struct *doms_front_wq;

/* The parent of all interfaces: it outlives xenbus's devices, and is told when
 * the guest has been restored.
 */
static struct platform_device *parent;

static LIST_HEAD(fronts);
static DEFINE_MUTEX(fronts_lock);

unsigned int doms_front_default_queues(void)
{
	return queues ? min(queues, DOMS_MAX_QUEUES) : num_online_cpus();
}

unsigned int doms_front_default_spin(void)
{
	return min(spin_us, SPIN_MAX_US);
}

unsigned int doms_front_default_sleep(void)
{
	return min(sleep_max_us, SPIN_MAX_US);
}

bool doms_front_default_yield(void)
{
	return yield_vcpu;
}

struct device *doms_front_parent(void)
{
	return &parent->dev;
}

/* Has 'front' look at xenstore.  Any context. */
void doms_front_kick(struct doms_front *front)
{
	mod_delayed_work(doms_front_wq, &front->reconcile, 0);
}

static struct doms_front *doms_front_find(unsigned int handle)
{
	struct doms_front *front;

	list_for_each_entry(front, &fronts, node)
		if (front->handle == handle)
			return front;
	return NULL;
}

static struct doms_front *doms_front_create(struct xenbus_device *xdev,
					    unsigned int handle)
{
	struct doms_front *front = kvzalloc(sizeof(*front), GFP_KERNEL);
	int err;

	if (!front)
		return ERR_PTR(-ENOMEM);
	front->handle = handle;
	front->spin_us = doms_front_default_spin();
	front->sleep_max_us = doms_front_default_sleep();
	front->yield = doms_front_default_yield();
	front->max_queues = DOMS_MAX_QUEUES;
	front->offer_after = jiffies;
	INIT_DELAYED_WORK(&front->reconcile, doms_front_reconcile);
	INIT_DELAYED_WORK(&front->beat, doms_front_beat);
	doms_front_read_mac(xdev->nodename, front->config.mac);
	err = doms_front_netdev_create(front);
	if (err) {
		kvfree(front);
		return ERR_PTR(err);
	}
	list_add_tail(&front->node, &fronts);
	return front;
}

/* Frees a front that does nothing any more. */
static void doms_front_destroy(struct doms_front *front)
{
	doms_front_still(front);
	doms_front_netdev_destroy(front);
	doms_front_quarantine_disown(front);
	/* The last of those who may kick it have gone. */
	cancel_delayed_work_sync(&front->reconcile);
	list_del(&front->node);
	kvfree(front);
}

/* Returns the number at the end of 'nodename', or a negative errno. */
static int doms_front_handle(const char *nodename, unsigned int *handle)
{
	const char *slash = strrchr(nodename, '/');

	return slash ? kstrtouint(slash + 1, 10, handle) : -EINVAL;
}

static int doms_front_watch_own(struct doms_front *front)
{
	char node[DOMS_FRONT_PATH_MAX];

	snprintf(node, sizeof(node), "%s/backend", front->xdev->nodename);
	front->own_watch = doms_front_watch(front, node);
	return front->own_watch ? 0 : -ENOMEM;
}

static int doms_front_probe(struct xenbus_device *xdev,
			    const struct xenbus_device_id *id)
{
	struct doms_front *front;
	unsigned int handle;
	int err;

	err = doms_front_handle(xdev->nodename, &handle);
	if (err)
		return err;
	mutex_lock(&fronts_lock);
	front = doms_front_find(handle);
	if (!front)
		front = doms_front_create(xdev, handle);
	else if (front->xdev)
		front = ERR_PTR(-EBUSY);
	if (IS_ERR(front)) {
		mutex_unlock(&fronts_lock);
		return PTR_ERR(front);
	}
	/* It may be finishing what it did while parked. */
	doms_front_still(front);
	xdev->state = XenbusStateClosed;
	front->xdev = xdev;
	dev_set_drvdata(&xdev->dev, front);
	/* xenbus's core pins the module for each device, as no other bus does:
	 * it could not be unloaded.  What follows an unload's start is
	 * synchronous, so nothing needs that.
	 */
	err = doms_front_watch_own(front);
	if (err) {
		front->xdev = NULL;
		doms_front_destroy(front);
	} else {
		module_put(THIS_MODULE);
		clear_bit(DOMS_FRONT_IDLE, &front->flags);
		doms_front_kick(front);
	}
	mutex_unlock(&fronts_lock);
	return err;
}

static void doms_front_otherend_changed(struct xenbus_device *xdev,
					enum xenbus_state state)
{
	struct doms_front *front = dev_get_drvdata(&xdev->dev);

	if (front)
		doms_front_kick(front);
}

/* Kernels before 6.3, but not all of them, want this to return an int. */
typedef typeof(((struct xenbus_driver *)NULL)->remove(NULL))
	doms_front_removed_t;

static doms_front_removed_t doms_front_remove(struct xenbus_device *xdev)
{
	struct doms_front *front = dev_get_drvdata(&xdev->dev);

	/* The core's pin, which it is about to take out. */
	__module_get(THIS_MODULE);
	mutex_lock(&fronts_lock);
	if (doms_front_read_state(xdev->nodename) != XenbusStateUnknown) {
		doms_front_leave(front);
		doms_front_destroy(front);
	} else {
		doms_front_vanish(front);
		if (!front->netdev)
			doms_front_destroy(front);
	}
	dev_set_drvdata(&xdev->dev, NULL);
	mutex_unlock(&fronts_lock);
	return (doms_front_removed_t)0;
}

static const struct xenbus_device_id doms_front_ids[] = {
	{ DOMS_XS_CLASS },
	{ "" }
};

static struct xenbus_driver doms_front_driver = {
	.ids = doms_front_ids,
	.not_essential = true,
	.probe = doms_front_probe,
	.remove = doms_front_remove,
	.otherend_changed = doms_front_otherend_changed,
};

/* A device whose backend did not exist when it was found: xenbus's core looks
 * only once.
 */
static void doms_front_attach(struct work_struct *work)
{
	int err = driver_attach(&doms_front_driver.driver);

	if (err)
		pr_warn("cannot look for devices: error %d\n", err);
}

static DECLARE_WORK(attach_work, doms_front_attach);

static void doms_front_class_changed(struct xenbus_watch *watch,
				     const char *path, const char *token)
{
	const char *slash = strrchr(path, '/');

	/* Not for "state", which a failed try changes itself. */
	if (slash && !strcmp(slash, "/backend"))
		queue_work(doms_front_wq, &attach_work);
}

static struct xenbus_watch class_watch = {
	.node = "device/" DOMS_XS_CLASS,
	.callback = doms_front_class_changed,
};

/* The guest has been restored: its grants have gone.  (A save that was
 * cancelled calls nothing.)  All work is frozen until this has returned.
 */
static int doms_front_restored(struct device *dev)
{
	struct doms_front *front;

	mutex_lock(&fronts_lock);
	list_for_each_entry(front, &fronts, node) {
		set_bit(DOMS_FRONT_RESTORED, &front->flags);
		doms_front_kick(front);
	}
	mutex_unlock(&fronts_lock);
	return 0;
}

static const struct dev_pm_ops doms_front_pm = {
	.restore = doms_front_restored,
};

static struct platform_driver doms_front_platform_driver = {
	.driver = {
		.name = DOMS_FRONT_NAME,
		.pm = &doms_front_pm,
	},
};

static int __init doms_front_init_base(void)
{
	int err;

	doms_front_wq = alloc_workqueue(DOMS_FRONT_NAME,
					WQ_FREEZABLE | WQ_UNBOUND, 0);
	if (!doms_front_wq)
		return -ENOMEM;
	err = doms_front_xs_init();
	if (err)
		goto out_wq;
	err = platform_driver_register(&doms_front_platform_driver);
	if (err)
		goto out_xs;
	parent = platform_device_register_simple(DOMS_FRONT_NAME, -1, NULL, 0);
	if (!IS_ERR(parent))
		return 0;
	err = PTR_ERR(parent);
	platform_driver_unregister(&doms_front_platform_driver);
out_xs:
	doms_front_xs_exit();
out_wq:
	destroy_workqueue(doms_front_wq);
	return err;
}

static void doms_front_exit_base(void)
{
	struct doms_front *front, *next;

	mutex_lock(&fronts_lock);
	list_for_each_entry_safe(front, next, &fronts, node)
		doms_front_destroy(front);
	mutex_unlock(&fronts_lock);
	doms_front_xs_exit();
	doms_front_quarantine_exit();
	platform_device_unregister(parent);
	platform_driver_unregister(&doms_front_platform_driver);
	destroy_workqueue(doms_front_wq);
}

static int __init doms_front_init(void)
{
	int err;

	if (!xen_domain())
		return -ENODEV;
	err = doms_front_init_base();
	if (err)
		return err;
	err = xenbus_register_frontend(&doms_front_driver);
	if (err) {
		doms_front_exit_base();
		return err;
	}
	err = register_xenbus_watch(&class_watch);
	if (err) {
		xenbus_unregister_driver(&doms_front_driver);
		doms_front_exit_base();
	}
	return err;
}
module_init(doms_front_init);

static void __exit doms_front_exit(void)
{
	unregister_xenbus_watch(&class_watch);
	cancel_work_sync(&attach_work);
	xenbus_unregister_driver(&doms_front_driver);
	doms_front_exit_base();
}
module_exit(doms_front_exit);

MODULE_DESCRIPTION("DomS network front end");
MODULE_AUTHOR("DomS");
MODULE_LICENSE("GPL");
MODULE_VERSION(DOMS_VERSION);
MODULE_ALIAS("xen:" DOMS_XS_CLASS);
