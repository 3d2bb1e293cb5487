/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_GLUE_H
#define _BCACHEFS_RS_GLUE_H

#include <linux/types.h>

struct block_device;
struct delayed_call;
struct dentry;
struct file;
struct folio;
struct posix_acl;
struct fs_context;
struct fs_parameter;
struct inode;
struct kmem_cache;
struct kstatfs;
struct super_block;

void bch_rs_show_version(unsigned int version);
void bch_rs_panic_after_error(void);
void bch_rs_wait_for_readers(void);
void bch_rs_report_error(struct super_block *sb, int error);

struct file *bch_rs_bdev_open(dev_t dev, bool writable,
			      struct super_block *sb);
int bch_rs_bdev_read(struct block_device *bdev, sector_t sector, void *buf,
		     size_t len);
int bch_rs_bdev_write(struct block_device *bdev, sector_t sector,
		      const void *buf, size_t len, bool fua, bool preflush);
int bch_rs_bdev_discard(struct block_device *bdev, sector_t sector,
			sector_t nr_sectors);
size_t bch_rs_bdev_name(struct block_device *bdev, char *buf, size_t len);
bool bch_rs_bdev_reaches(struct block_device *bdev, const void *buf);

struct kmem_cache *bch_rs_inode_cache_create(const char *name,
					     unsigned int size,
					     unsigned int align,
					     void (*ctor)(void *));
void *bch_rs_inode_alloc(struct kmem_cache *cache, struct super_block *sb);

int bch_rs_add_source(struct fs_context *fc, const char *path);
void bch_rs_fc_log(struct fs_context *fc, char level, const char *text);
int bch_rs_param_text(const struct fs_parameter *param, const char **text);

void bch_rs_set_readahead(struct super_block *sb, u64 bytes);
void bch_rs_set_fsid(struct kstatfs *st, const u8 *uuid);
const char *bch_rs_dentry_name(const struct dentry *dentry, size_t *len);
void bch_rs_free_link_later(struct delayed_call *done, char *link);
void bch_rs_quota_warn(struct super_block *sb, u32 type, u32 id, u8 what);
bool bch_rs_capable_admin(void);

long bch_rs_read_user_key(const char *description, u8 *to, size_t len);

struct posix_acl *bch_rs_acl_alloc(unsigned int count);
void bch_rs_acl_set(struct posix_acl *acl, unsigned int at, u16 tag, u16 perm,
		    u32 id);

struct inode *bch_rs_folio_inode(const struct folio *folio);

u64 bch_rs_memory_bytes(void);
u64 bch_rs_memory_available(void);

#endif
