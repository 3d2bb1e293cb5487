// SPDX-License-Identifier: GPL-2.0
/*
 * What takes macros, variable argument lists or stack objects to call: block devices, mounting,
 * inodes, keys.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/delayed_call.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fserror.h>
#include <linux/key.h>
#include <linux/posix_acl.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/pagemap.h>
#include <linux/panic.h>
#include <linux/quota.h>
#include <linux/rcupdate.h>
#include <linux/statfs.h>
#include <linux/vmalloc.h>

#include <keys/user-type.h>

#include "glue.h"
#include "version.h"

MODULE_VERSION(BCACHEFS_RS_VERSION);

/* A parameter that is there to be read. */
static unsigned int shown_version;

static int version_set(const char *text, const struct kernel_param *param)
{
	return -EPERM;
}

static const struct kernel_param_ops version_ops = {
	.set	= version_set,
	.get	= param_get_uint,
};

module_param_cb(version, &version_ops, &shown_version, 0400);
MODULE_PARM_DESC(version, "the newest version of the format that is known (to be read)");

void bch_rs_show_version(unsigned int version)
{
	shown_version = version;
}

/* The option errors=panic. */
void bch_rs_panic_after_error(void)
{
	panic("bcachefs: panic after error");
}

/* Inline where there is one processor, and a function where there are more. */
void bch_rs_wait_for_readers(void)
{
	synchronize_rcu_expedited();
}

/* Something is wrong with the filesystem, and not just with a file. */
void bch_rs_report_error(struct super_block *sb, int error)
{
	fserror_report_metadata(sb, error, GFP_ATOMIC);
}

/* The superblock is the holder: one filesystem can have the device and nobody else. */
struct file *bch_rs_bdev_open(dev_t dev, bool writable, struct super_block *sb)
{
	blk_mode_t mode = sb_open_mode(writable ? 0 : SB_RDONLY);
	struct file *file = fs_bdev_file_open_by_dev(dev, mode, sb, sb);

	/* Nobody else looks at that. */
	if (!IS_ERR(file) && writable && bdev_read_only(file_bdev(file))) {
		fs_bdev_file_release(file, sb);
		return ERR_PTR(-EROFS);
	}
	return file;
}

/* The most that one bio transfers. */
#define TRANSFER_MAX	SZ_1M

static int transfer_vmalloc(struct block_device *bdev, sector_t sector,
			    void *buf, size_t len, blk_opf_t opf)
{
	unsigned int nr = bio_add_max_vecs(buf, len);
	struct bio *bio;
	int ret;

	bio = bio_alloc(bdev, nr, opf, GFP_NOFS);
	bio->bi_iter.bi_sector = sector;
	if (bio_add_vmalloc(bio, buf, len))
		ret = submit_bio_wait(bio);
	else
		ret = -EIO;
	bio_put(bio);
	if (!op_is_write(opf))
		invalidate_kernel_vmap_range(buf, len);
	return ret;
}

/* Transfers whole sectors from or to kmalloc or vmalloc memory and waits. */
static int transfer(struct block_device *bdev, sector_t sector, void *buf,
		    size_t len, blk_opf_t opf)
{
	while (len) {
		size_t n = min_t(size_t, len, TRANSFER_MAX);
		int ret;

		/* An unaligned start takes one more page than a bio may have. */
		if (is_vmalloc_addr(buf) && n == TRANSFER_MAX &&
		    offset_in_page(buf))
			n -= PAGE_SIZE;
		ret = is_vmalloc_addr(buf) ?
			transfer_vmalloc(bdev, sector, buf, n, opf) :
			bdev_rw_virt(bdev, sector, buf, n, opf);
		if (ret)
			return ret;
		buf += n;
		sector += n >> SECTOR_SHIFT;
		len -= n;
		/* What was written before has been flushed. */
		opf &= ~REQ_PREFLUSH;
	}
	return 0;
}

int bch_rs_bdev_read(struct block_device *bdev, sector_t sector, void *buf,
		     size_t len)
{
	return transfer(bdev, sector, buf, len, REQ_OP_READ | REQ_META);
}

/*
 * With fua, every piece is on stable media when this returns; with preflush, so
 * is what was written before.
 */
int bch_rs_bdev_write(struct block_device *bdev, sector_t sector,
		      const void *buf, size_t len, bool fua, bool preflush)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_META | REQ_SYNC | REQ_IDLE;

	if (fua)
		opf |= REQ_FUA;
	if (preflush)
		opf |= REQ_PREFLUSH;
	return transfer(bdev, sector, (void *)buf, len, opf);
}

int bch_rs_bdev_discard(struct block_device *bdev, sector_t sector,
			sector_t nr_sectors)
{
	return blkdev_issue_discard(bdev, sector, nr_sectors, GFP_NOFS);
}

size_t bch_rs_bdev_name(struct block_device *bdev, char *buf, size_t len)
{
	return scnprintf(buf, len, "%pg", bdev);
}

/*
 * Whether transfer() can have memory at this address: aligned as the device wants it, and not a
 * constant of a module, of which there need not be a page that is mapped like other memory.
 */
bool bch_rs_bdev_reaches(struct block_device *bdev, const void *buf)
{
	return !((unsigned long)buf & bdev_dma_alignment(bdev)) &&
	       (is_vmalloc_addr(buf) || virt_addr_valid(buf));
}

struct kmem_cache *bch_rs_inode_cache_create(const char *name,
					     unsigned int size,
					     unsigned int align,
					     void (*ctor)(void *))
{
	return kmem_cache_create(name, size, align,
				 SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT, ctor);
}

void *bch_rs_inode_alloc(struct kmem_cache *cache, struct super_block *sb)
{
	return alloc_inode_sb(sb, cache, GFP_NOFS);
}

/* Adds a path to the source, of which there must be a first part: 1 if not. */
int bch_rs_add_source(struct fs_context *fc, const char *path)
{
	char *both;

	if (!path)
		return -EINVAL;
	if (!fc->source)
		return 1;
	both = kasprintf(GFP_KERNEL, "%s:%s", fc->source, path);
	if (!both)
		return -ENOMEM;
	kfree(fc->source);
	fc->source = both;
	return 0;
}

void bch_rs_fc_log(struct fs_context *fc, char level, const char *text)
{
	logfc(fc->log.log, fc->log.prefix, level, "%s", text);
}

/* The text of a mount option: NULL for a bare word. */
int bch_rs_param_text(const struct fs_parameter *param, const char **text)
{
	*text = NULL;
	if (param->type == fs_value_is_flag)
		return 0;
	if (param->type != fs_value_is_string)
		return -EINVAL;
	*text = param->string;
	return 0;
}

void bch_rs_set_readahead(struct super_block *sb, u64 bytes)
{
	sb->s_bdi->ra_pages = min_t(u64, bytes >> PAGE_SHIFT, ULONG_MAX);
	if (!sb->s_bdi->ra_pages)
		sb->s_bdi->ra_pages = VM_READAHEAD_PAGES;
	sb->s_bdi->io_pages = SZ_1M >> PAGE_SHIFT;
}

void bch_rs_set_fsid(struct kstatfs *st, const u8 *uuid)
{
	st->f_fsid = uuid_to_fsid((__u8 *)uuid);
}

const char *bch_rs_dentry_name(const struct dentry *dentry, size_t *len)
{
	*len = dentry->d_name.len;
	return dentry->d_name.name;
}

void bch_rs_free_link_later(struct delayed_call *done, char *link)
{
	set_delayed_call(done, kfree_link, link);
}

/* Tells who listens; nobody does in kernels without CONFIG_QUOTA_NETLINK_INTERFACE. */
void bch_rs_quota_warn(struct super_block *sb, u32 type, u32 id, u8 what)
{
	quota_send_warning(make_kqid(&init_user_ns, type, id), sb->s_dev, what);
}

bool bch_rs_capable_admin(void)
{
	return capable(CAP_SYS_ADMIN);
}

/*
 * Copies a key of type "user" that the keyrings of the calling process hold, up
 * to len bytes of it. Returns the key's length.
 */
long bch_rs_read_user_key(const char *description, u8 *to, size_t len)
{
	const struct user_key_payload *payload;
	struct key *key;
	long ret;

	key = request_key(&key_type_user, description, NULL);
	if (IS_ERR(key))
		return PTR_ERR(key);

	down_read(&key->sem);
	/* There is none any more if the key was revoked just now. */
	payload = user_key_payload_locked(key);
	if (payload) {
		memcpy(to, payload->data, min_t(size_t, payload->datalen, len));
		ret = payload->datalen;
	} else {
		ret = -EKEYREVOKED;
	}
	up_read(&key->sem);
	key_put(key);
	return ret;
}

struct posix_acl *bch_rs_acl_alloc(unsigned int count)
{
	return posix_acl_alloc(count, GFP_KERNEL);
}

void bch_rs_acl_set(struct posix_acl *acl, unsigned int at, u16 tag, u16 perm,
		    u32 id)
{
	struct posix_acl_entry *e = &acl->a_entries[at];

	e->e_tag = tag;
	e->e_perm = perm;
	if (tag == ACL_USER)
		e->e_uid = make_kuid(&init_user_ns, id);
	else if (tag == ACL_GROUP)
		e->e_gid = make_kgid(&init_user_ns, id);
}

struct inode *bch_rs_folio_inode(const struct folio *folio)
{
	return folio->mapping->host;
}

u64 bch_rs_memory_bytes(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return (u64)info.totalram * info.mem_unit;
}

u64 bch_rs_memory_available(void)
{
	long pages = si_mem_available();

	return pages > 0 ? (u64)pages << PAGE_SHIFT : 0;
}
