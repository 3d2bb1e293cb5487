// SPDX-License-Identifier: GPL-2.0
/*
 * Directories and files in sysfs, with nothing of this module in the kernel's hands longer than the
 * directory is there.
 *
 * The kobjects are those of kobject_create_and_add(): their release function is the kernel's, so
 * that whoever holds a reference, and however late the last one goes, does not need the module.
 * kobject_del() waits for all that are reading files, and nobody gets to a file after it; then the
 * files, which are ours, can be freed.
 */
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "kobject.h"

struct bch_rs_file {
	struct kobj_attribute	attr;
	bch_rs_show		show;
	bch_rs_store		store;
	const void		*data;
	u32			id;
	char			name[];
};

/* Makes looking for a name and adding it one step; sysfs complains aloud about a second one. */
static DEFINE_MUTEX(adding);

/* A NULL parent is /sys/fs. */
struct kobject *bch_rs_dir_add(struct kobject *parent, const char *name)
{
	struct kernfs_node *other;
	struct kobject *dir;

	if (!parent)
		parent = fs_kobj;

	mutex_lock(&adding);
	other = kernfs_find_and_get(parent->sd, name);
	if (other) {
		kernfs_put(other);
		dir = ERR_PTR(-EEXIST);
	} else {
		dir = kobject_create_and_add(name, parent) ?: ERR_PTR(-ENOMEM);
	}
	mutex_unlock(&adding);
	return dir;
}

void bch_rs_dir_del(struct kobject *dir)
{
	kobject_del(dir);
	kobject_put(dir);
}

static ssize_t file_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	struct bch_rs_file *file = container_of(attr, struct bch_rs_file, attr);

	return file->show(file->data, file->id, buf);
}

static ssize_t file_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	struct bch_rs_file *file = container_of(attr, struct bch_rs_file, attr);

	return file->store(file->data, file->id, buf, count);
}

struct bch_rs_file *bch_rs_file_add(struct kobject *dir, const char *name,
				    umode_t mode, bch_rs_show show,
				    bch_rs_store store, const void *data,
				    u32 id)
{
	size_t len = strlen(name) + 1;
	struct bch_rs_file *file;
	int ret;

	file = kzalloc(sizeof(*file) + len, GFP_KERNEL);
	if (!file)
		return ERR_PTR(-ENOMEM);
	memcpy(file->name, name, len);
	file->show = show;
	file->store = store;
	file->data = data;
	file->id = id;
	sysfs_attr_init(&file->attr.attr);
	file->attr.attr.name = file->name;
	file->attr.attr.mode = mode;
	if (mode & 0444)
		file->attr.show = file_show;
	if (mode & 0222)
		file->attr.store = file_store;

	ret = sysfs_create_file(dir, &file->attr.attr);
	if (ret) {
		kfree(file);
		return ERR_PTR(ret);
	}
	return file;
}

/* Its directory must be gone. */
void bch_rs_file_free(struct bch_rs_file *file)
{
	kfree(file);
}

/*
 * Links a directory and a block device to each other: DIR/block, BLOCK/bcachefs. Keeps the device's
 * object until bch_rs_bdev_unlink().
 */
int bch_rs_bdev_link(struct kobject *dir, struct block_device *bdev)
{
	struct kobject *block = bdev_kobj(bdev);
	int ret;

	ret = sysfs_create_link(block, dir, "bcachefs");
	if (ret)
		return ret;
	ret = sysfs_create_link(dir, block, "block");
	if (ret) {
		sysfs_remove_link(block, "bcachefs");
		return ret;
	}
	get_device(&bdev->bd_device);
	return 0;
}

void bch_rs_bdev_unlink(struct kobject *dir, struct block_device *bdev)
{
	struct kobject *block = bdev_kobj(bdev);

	/* A device that was pulled out took its side along. */
	if (block->state_in_sysfs)
		sysfs_remove_link(block, "bcachefs");
	sysfs_remove_link(dir, "block");
	put_device(&bdev->bd_device);
}
