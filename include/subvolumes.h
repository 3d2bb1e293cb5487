/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_SUBVOLUMES_H
#define _BCACHEFS_RS_SUBVOLUMES_H

#include <linux/types.h>

struct dentry;
struct inode;
struct mnt_idmap;
struct super_block;

/* Makes a directory for a dentry; its parent is locked. */
typedef int (*bch_rs_subvol_make)(void *with, struct mnt_idmap *idmap,
				  struct inode *dir, struct dentry *dentry,
				  umode_t mode, struct inode *source);
/* Removes what a dentry is the name of; its parent is locked. */
typedef int (*bch_rs_subvol_remove)(struct inode *dir, struct dentry *dentry);

int bch_rs_subvol_create(struct super_block *sb, int dirfd, u64 path,
			 u64 source, umode_t mode, bch_rs_subvol_make make,
			 void *with);
int bch_rs_subvol_destroy(struct super_block *sb, int dirfd, u64 path,
			  bch_rs_subvol_remove remove);
void bch_rs_sync_data(struct super_block *sb);
void bch_rs_evict_unused(struct super_block *sb,
			 bool (*is_wanted)(struct inode *inode, void *with),
			 void *with);

#endif
