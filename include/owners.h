/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_OWNERS_H
#define _BCACHEFS_RS_OWNERS_H

#include <linux/time64.h>
#include <linux/types.h>

struct file;
struct iattr;
struct inode;
struct mnt_idmap;
struct posix_acl;

/* What attributes become, as the filesystem has them; those in valid (ATTR_*). */
struct bch_rs_attr {
	u32	valid;
	u32	uid;
	u32	gid;
	u16	mode;
	s64	atime_sec;
	u32	atime_nsec;
	s64	mtime_sec;
	u32	mtime_nsec;
	s64	ctime_sec;
	u32	ctime_nsec;
};

struct timespec64 bch_rs_change_time(struct inode *inode);

void bch_rs_attr_values(struct mnt_idmap *idmap, struct inode *inode,
			const struct iattr *attr, struct bch_rs_attr *to);

int bch_rs_acl_create(struct inode *dir, struct inode *inode,
		      struct posix_acl **default_acl, struct posix_acl **acl);
int bch_rs_acl_chmod(struct inode *inode, umode_t mode, struct posix_acl **acl);
int bch_rs_acl_update_mode(struct mnt_idmap *idmap, struct inode *inode,
			   umode_t *mode, struct posix_acl **acl);
void bch_rs_acl_cache(struct inode *inode, int type, struct posix_acl *acl);
void bch_rs_acl_put(struct posix_acl *acl);
unsigned int bch_rs_acl_count(const struct posix_acl *acl);
void bch_rs_acl_get(const struct posix_acl *acl, unsigned int at, u16 *tag,
		    u16 *perm, u32 *id);

bool bch_rs_may_search(struct file *file, struct inode *dir);

#endif
