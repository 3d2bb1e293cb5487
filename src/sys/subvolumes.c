// SPDX-License-Identifier: GPL-2.0
/*
 * Directories that an ioctl makes or removes by their paths, as mkdirat(2) and unlinkat(2) would;
 * what of it can be had by a module.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/fsnotify.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/sched.h>
#include <linux/security.h>
#include <linux/spinlock.h>
#include <linux/writeback.h>

#include "subvolumes.h"

static int may_make(struct super_block *sb, const struct path *dir,
		    struct dentry *dentry)
{
	struct mnt_idmap *idmap = mnt_idmap(dir->mnt);
	struct inode *inode = d_inode(dir->dentry);

	if (dentry->d_sb != sb)
		return -EXDEV;
	if (IS_DEADDIR(inode))
		return -ENOENT;
	if (!fsuidgid_has_mapping(sb, idmap))
		return -EOVERFLOW;
	return inode_permission(idmap, inode, MAY_WRITE | MAY_EXEC);
}

static int create(struct super_block *sb, int dirfd, u64 at, umode_t mode,
		  struct inode *source, bch_rs_subvol_make make, void *with,
		  unsigned int flags)
{
	struct dentry *dentry;
	struct path dir;
	int ret;

	dentry = start_creating_user_path(dirfd, u64_to_user_ptr(at), &dir,
					  flags);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);

	ret = may_make(sb, &dir, dentry);
	if (!ret) {
		if (!IS_POSIXACL(d_inode(dir.dentry)))
			mode &= ~current_umask();
		ret = security_path_mkdir(&dir, dentry, mode);
	}
	if (!ret)
		ret = make(with, mnt_idmap(dir.mnt), d_inode(dir.dentry),
			   dentry, mode, source);
	if (!ret)
		fsnotify_mkdir(d_inode(dir.dentry), dentry);
	end_creating_path(&dir, dentry);
	return ret;
}

int bch_rs_subvol_create(struct super_block *sb, int dirfd, u64 at, u64 source,
			 umode_t mode, bch_rs_subvol_make make, void *with)
{
	unsigned int flags = LOOKUP_DIRECTORY;
	struct inode *inode = NULL;
	struct path from;
	int ret;

	do {
		if (source) {
			ret = user_path_at(dirfd, u64_to_user_ptr(source),
					   LOOKUP_FOLLOW | flags, &from);
			if (ret)
				return ret;
			inode = d_inode(from.dentry);
		}
		ret = inode && inode->i_sb != sb ? -EXDEV :
			create(sb, dirfd, at, mode, inode, make, with, flags);
		if (source)
			path_put(&from);
		if (!retry_estale(ret, flags))
			return ret;
		flags |= LOOKUP_REVAL;
	} while (true);
}

static int may_remove(struct mnt_idmap *idmap, struct inode *dir,
		      struct inode *inode)
{
	int ret;

	ret = inode_permission(idmap, dir, MAY_WRITE | MAY_EXEC);
	if (!ret)
		ret = inode_permission(idmap, inode, MAY_WRITE);
	if (ret)
		return ret;
	if (IS_APPEND(dir) || check_sticky(idmap, dir, inode) ||
	    IS_APPEND(inode) || IS_IMMUTABLE(inode))
		return -EPERM;
	return 0;
}

static int destroy(struct path *at, bch_rs_subvol_remove remove)
{
	struct dentry *parent = dget_parent(at->dentry), *victim;
	struct inode *dir = d_inode(parent);
	int ret;

	victim = start_removing_dentry(parent, at->dentry);
	if (IS_ERR(victim)) {
		ret = PTR_ERR(victim);
		goto out;
	}
	ret = may_remove(mnt_idmap(at->mnt), dir, d_inode(victim));
	if (!ret)
		ret = remove(dir, victim);
	if (!ret) {
		fsnotify_rmdir(dir, victim);
		/* With all that is cached below, and what is mounted there. */
		d_invalidate(victim);
	}
	end_removing(victim);
out:
	dput(parent);
	return ret;
}

int bch_rs_subvol_destroy(struct super_block *sb, int dirfd, u64 path,
			  bch_rs_subvol_remove remove)
{
	struct path at;
	int ret;

	ret = user_path_at(dirfd, u64_to_user_ptr(path), 0, &at);
	if (ret)
		return ret;
	if (at.dentry->d_sb != sb)
		ret = -EXDEV;
	else if (!d_is_dir(at.dentry))
		ret = -ENOTDIR;
	else if (at.dentry == at.mnt->mnt_root)
		ret = -EBUSY;
	else
		ret = mnt_want_write(at.mnt);
	if (!ret) {
		ret = destroy(&at, remove);
		mnt_drop_write(at.mnt);
	}
	path_put(&at);
	return ret;
}

/* Writes back all data that is in the page cache. What can not be written is told by fsync(2). */
void bch_rs_sync_data(struct super_block *sb)
{
	down_read(&sb->s_umount);
	sync_inodes_sb(sb);
	up_read(&sb->s_umount);
}

/*
 * Has inodes leave memory that are wanted, and that nobody uses. Names of them are let go of. The
 * filesystem drops an inode at its last use from then on.
 */
void bch_rs_evict_unused(struct super_block *sb,
			 bool (*is_wanted)(struct inode *inode, void *with),
			 void *with)
{
	struct inode *inode, *before = NULL;
	bool wanted;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (inode_state_read_once(inode) &
		    (I_NEW | I_FREEING | I_WILL_FREE))
			continue;
		wanted = is_wanted(inode, with);
		if ((!wanted && !need_resched()) || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		/* As long as it is held, it stays in the list. */
		iput(before);
		before = inode;
		if (wanted) {
			d_mark_dontcache(inode);
			d_prune_aliases(inode);
		}
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(before);
}
