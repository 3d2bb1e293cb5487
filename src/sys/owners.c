// SPDX-License-Identifier: GPL-2.0
/*
 * Owners, permissions and times of inodes: what takes types that are made of macros.
 */
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mnt_idmapping.h>
#include <linux/posix_acl.h>
#include <linux/user_namespace.h>

#include "owners.h"

/*
 * The time of a change that begins now. The inode gets it when the change is
 * safe: until then it shows the one before, with the mark that it was seen.
 */
struct timespec64 bch_rs_change_time(struct inode *inode)
{
	time64_t sec = inode->i_ctime_sec;
	u32 nsec = inode->i_ctime_nsec;
	struct timespec64 now = inode_set_ctime_current(inode);

	inode->i_ctime_sec = sec;
	inode->i_ctime_nsec = nsec;
	return now;
}

static struct timespec64 asked(struct inode *inode, const struct iattr *attr,
			       unsigned int is_set, struct timespec64 given,
			       struct timespec64 now)
{
	return attr->ia_valid & is_set ? timestamp_truncate(given, inode) : now;
}

/*
 * As setattr_copy() does, but not to the inode: that gets it when all is safe.
 */
void bch_rs_attr_values(struct mnt_idmap *idmap, struct inode *inode,
			const struct iattr *attr, struct bch_rs_attr *to)
{
	struct user_namespace *ns = i_user_ns(inode);
	unsigned int valid = attr->ia_valid;
	struct timespec64 now, ts;
	kgid_t gid = inode->i_gid;

	memset(to, 0, sizeof(*to));
	to->valid = valid;
	if (valid & ATTR_UID)
		to->uid = from_kuid(ns, from_vfsuid(idmap, ns, attr->ia_vfsuid));
	if (valid & ATTR_GID) {
		gid = from_vfsgid(idmap, ns, attr->ia_vfsgid);
		to->gid = from_kgid(ns, gid);
	}
	if (valid & ATTR_MODE) {
		to->mode = attr->ia_mode;
		if (!in_group_or_capable(idmap, inode,
					 make_vfsgid(idmap, ns, gid)))
			to->mode &= ~S_ISGID;
	}
	if (!(valid & (ATTR_ATIME | ATTR_MTIME | ATTR_CTIME)))
		return;
	now = bch_rs_change_time(inode);
	to->ctime_sec = now.tv_sec;
	to->ctime_nsec = now.tv_nsec;
	ts = asked(inode, attr, ATTR_ATIME_SET, attr->ia_atime, now);
	to->atime_sec = ts.tv_sec;
	to->atime_nsec = ts.tv_nsec;
	ts = asked(inode, attr, ATTR_MTIME_SET, attr->ia_mtime, now);
	to->mtime_sec = ts.tv_sec;
	to->mtime_nsec = ts.tv_nsec;
}

/* The lists of a new inode, and its permissions as they say. */
int bch_rs_acl_create(struct inode *dir, struct inode *inode,
		      struct posix_acl **default_acl, struct posix_acl **acl)
{
	return posix_acl_create(dir, &inode->i_mode, default_acl, acl);
}

/* What becomes of the list of an inode with new permissions: NULL when it has none. */
int bch_rs_acl_chmod(struct inode *inode, umode_t mode, struct posix_acl **acl)
{
	*acl = NULL;
#ifdef CONFIG_FS_POSIX_ACL
	if (!IS_POSIXACL(inode) || S_ISLNK(inode->i_mode))
		return 0;
	*acl = get_inode_acl(inode, ACL_TYPE_ACCESS);
	if (IS_ERR_OR_NULL(*acl)) {
		int ret = PTR_ERR_OR_ZERO(*acl);

		*acl = NULL;
		return ret == -EOPNOTSUPP ? 0 : ret;
	}
	/* Gives up the old one, also when it fails. */
	return __posix_acl_chmod(acl, GFP_KERNEL, mode);
#else
	return 0;
#endif
}

int bch_rs_acl_update_mode(struct mnt_idmap *idmap, struct inode *inode,
			   umode_t *mode, struct posix_acl **acl)
{
#ifdef CONFIG_FS_POSIX_ACL
	return posix_acl_update_mode(idmap, inode, mode, acl);
#else
	return -EOPNOTSUPP;
#endif
}

void bch_rs_acl_cache(struct inode *inode, int type, struct posix_acl *acl)
{
#ifdef CONFIG_FS_POSIX_ACL
	if (IS_POSIXACL(inode))
		set_cached_acl(inode, type, acl);
#endif
}

void bch_rs_acl_put(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

unsigned int bch_rs_acl_count(const struct posix_acl *acl)
{
	return acl->a_count;
}

void bch_rs_acl_get(const struct posix_acl *acl, unsigned int at, u16 *tag,
		    u16 *perm, u32 *id)
{
	const struct posix_acl_entry *e = &acl->a_entries[at];

	*tag = e->e_tag;
	*perm = e->e_perm;
	*id = ACL_UNDEFINED_ID;
	if (e->e_tag == ACL_USER)
		*id = from_kuid(&init_user_ns, e->e_uid);
	else if (e->e_tag == ACL_GROUP)
		*id = from_kgid(&init_user_ns, e->e_gid);
}

/* Whether the caller may search a directory, as seen by the mount that the file is open in. */
bool bch_rs_may_search(struct file *file, struct inode *dir)
{
	return !inode_permission(file_mnt_idmap(file), dir, MAY_EXEC);
}
