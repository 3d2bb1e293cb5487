/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_KOBJECT_H
#define _BCACHEFS_RS_KOBJECT_H

#include <linux/types.h>

struct block_device;
struct bch_rs_file;
struct kobject;

/* Writes the contents of file @id to @buf, a page; returns their length or an errno. */
typedef ssize_t (*bch_rs_show)(const void *data, u32 id, char *buf);
/* Takes what was written to file @id, a string; returns @count or an errno. */
typedef ssize_t (*bch_rs_store)(const void *data, u32 id, const char *buf,
				size_t count);

struct kobject *bch_rs_dir_add(struct kobject *parent, const char *name);
void bch_rs_dir_del(struct kobject *dir);

struct bch_rs_file *bch_rs_file_add(struct kobject *dir, const char *name,
				    umode_t mode, bch_rs_show show,
				    bch_rs_store store, const void *data,
				    u32 id);
void bch_rs_file_free(struct bch_rs_file *file);

int bch_rs_bdev_link(struct kobject *dir, struct block_device *bdev);
void bch_rs_bdev_unlink(struct kobject *dir, struct block_device *bdev);

#endif
