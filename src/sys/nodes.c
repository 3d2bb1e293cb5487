// SPDX-License-Identifier: GPL-2.0
/*
 * Character devices that take ioctls: one for each of the things that are controlled, and one for
 * all of them together.
 *
 * Whoever has a device open has a reference to its node. What the node leads to goes earlier:
 * bch_rs_node_del() waits for those that have entered it, and nobody enters after that.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "nodes.h"

/* The minor number of the device for all. Nodes have those below. */
#define MINOR_ALL	255

struct bch_rs_node {
	refcount_t		refs;
	struct rw_semaphore	lock;
	/* Protected by @lock: NULL when what it was is gone. */
	const void		*data;
	bch_rs_node_ioctl	ioctl;
	u32			minor;
};

/* By minor number. Its lock keeps a node from going while open() takes a reference. */
static DEFINE_XARRAY_ALLOC(nodes);

/* NULL while there is no device for all. */
static struct class *node_class;
static int node_major;
static const char *node_name;
static bch_rs_node_ioctl ioctl_on_all;

static void node_put(struct bch_rs_node *node)
{
	if (node && refcount_dec_and_test(&node->refs))
		kfree(node);
}

static int node_open(struct inode *inode, struct file *file)
{
	unsigned int minor = iminor(inode);
	struct bch_rs_node *node = NULL;

	if (minor != MINOR_ALL) {
		xa_lock(&nodes);
		node = xa_load(&nodes, minor);
		if (node)
			refcount_inc(&node->refs);
		xa_unlock(&nodes);
		if (!node)
			return -ENXIO;
	}
	file->private_data = node;
	return nonseekable_open(inode, file);
}

static int node_release(struct inode *inode, struct file *file)
{
	node_put(file->private_data);
	return 0;
}

static long node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bch_rs_node *node = file->private_data;

	return node ? node->ioctl(node, cmd, arg) : ioctl_on_all(NULL, cmd, arg);
}

static const struct file_operations node_fops = {
	.owner		= THIS_MODULE,
	.open		= node_open,
	.release	= node_release,
	.unlocked_ioctl	= node_ioctl,
};

/* Makes the device for all, /dev/NAME-ctl. @name has to stay. */
int bch_rs_nodes_register(const char *name, bch_rs_node_ioctl ioctl)
{
	struct class *class;
	struct device *dev;
	int ret;

	if (node_class)
		return -EBUSY;
	node_name = name;
	ioctl_on_all = ioctl;
	ret = register_chrdev(0, name, &node_fops);
	if (ret < 0)
		return ret;
	node_major = ret;

	class = class_create(name);
	if (IS_ERR(class)) {
		ret = PTR_ERR(class);
		goto err_chrdev;
	}
	dev = device_create(class, NULL, MKDEV(node_major, MINOR_ALL), NULL, "%s-ctl", name);
	if (IS_ERR(dev)) {
		ret = PTR_ERR(dev);
		goto err_class;
	}
	node_class = class;
	return 0;

err_class:
	class_destroy(class);
err_chrdev:
	unregister_chrdev(node_major, name);
	return ret;
}

/* There must be no nodes. */
void bch_rs_nodes_unregister(void)
{
	device_destroy(node_class, MKDEV(node_major, MINOR_ALL));
	class_destroy(node_class);
	node_class = NULL;
	unregister_chrdev(node_major, node_name);
	xa_destroy(&nodes);
}

/* Makes a device, /dev/NAMEn-ctl, for @data, which must be there until bch_rs_node_del(). */
struct bch_rs_node *bch_rs_node_add(const void *data, bch_rs_node_ioctl ioctl)
{
	struct bch_rs_node *node;
	struct device *dev;
	int ret;

	if (!node_class)
		return ERR_PTR(-ENODEV);
	node = kzalloc_obj(*node);
	if (!node)
		return ERR_PTR(-ENOMEM);
	refcount_set(&node->refs, 1);
	init_rwsem(&node->lock);
	node->data = data;
	node->ioctl = ioctl;

	ret = xa_alloc(&nodes, &node->minor, node, XA_LIMIT(0, MINOR_ALL - 1), GFP_KERNEL);
	if (ret < 0) {
		kfree(node);
		return ERR_PTR(ret);
	}

	dev = device_create(node_class, NULL, MKDEV(node_major, node->minor), NULL,
			    "%s%u-ctl", node_name, node->minor);
	if (IS_ERR(dev)) {
		xa_erase(&nodes, node->minor);
		node_put(node);
		return ERR_CAST(dev);
	}
	return node;
}

unsigned int bch_rs_node_minor(const struct bch_rs_node *node)
{
	return node->minor;
}

/* Takes the device away, and waits for those that have entered the node. */
void bch_rs_node_del(struct bch_rs_node *node)
{
	device_destroy(node_class, MKDEV(node_major, node->minor));

	/* Not entered any more, but the number is kept until nobody waits for it. */
	down_write(&node->lock);
	node->data = NULL;
	up_write(&node->lock);

	xa_erase(&nodes, node->minor);
	node_put(node);
}

/* What the node leads to, until bch_rs_node_leave(), or NULL, without a need to leave. */
const void *bch_rs_node_enter(struct bch_rs_node *node)
{
	down_read(&node->lock);
	if (node->data)
		return node->data;
	up_read(&node->lock);
	return NULL;
}

void bch_rs_node_leave(struct bch_rs_node *node)
{
	up_read(&node->lock);
}
