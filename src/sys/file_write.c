// SPDX-License-Identifier: GPL-2.0
/*
 * Writing files: what is inline in the kernel's headers, and sequences of it that only make sense
 * together.
 */
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/fserror.h>
#include <linux/iomap.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "file_write.h"

/*
 * Locks the inode for a write, and says how many bytes may be written. Not locked if that is 0 or
 * an error.
 */
ssize_t bch_rs_write_start(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t count;
	int error;

	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	inode_lock(inode);
	count = generic_write_checks(iocb, from);
	if (count > 0) {
		error = kiocb_modified(iocb);
		if (!error)
			return count;
		count = error;
	}
	inode_unlock(inode);
	return count;
}

void bch_rs_write_end(struct inode *inode)
{
	inode_unlock(inode);
}

/*
 * Has the inode written, as far as that has to be for the data to be found: size and place are
 * written with the data, so times alone can wait.
 */
int bch_rs_sync_inode(struct inode *inode, bool data_only)
{
	if (data_only && !(inode_state_read_once(inode) & I_DIRTY_DATASYNC))
		return 0;
	return sync_inode_metadata(inode, 1);
}

ssize_t bch_rs_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

/* What was written through the page cache, and should not have been, leaves it. */
ssize_t bch_rs_write_back_part(struct kiocb *iocb, ssize_t count)
{
	struct address_space *mapping = iocb->ki_filp->f_mapping;
	loff_t start = iocb->ki_pos - count;
	loff_t end = iocb->ki_pos - 1;
	int error = filemap_write_and_wait_range(mapping, start, end);

	if (error)
		return error;
	invalidate_mapping_pages(mapping, start >> PAGE_SHIFT, end >> PAGE_SHIFT);
	return count;
}

/*
 * What is in the page cache is written and leaves it. Nobody can bring it back
 * meanwhile: the pages are locked, see bch_rs_lock_pages_only().
 */
int bch_rs_direct_start(struct kiocb *iocb, size_t count)
{
	return kiocb_invalidate_pages(iocb, count);
}

/*
 * Whoever reads through the page cache is not to see what was there before. No
 * page is dirty.
 */
void bch_rs_direct_done(struct kiocb *iocb, loff_t pos, size_t count)
{
	struct address_space *mapping = iocb->ki_filp->f_mapping;

	if (mapping->nrpages)
		invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
					      (pos + count - 1) >> PAGE_SHIFT);
}

/*
 * Whether a write past the page cache may go on after the system call. Nobody but the one who has
 * the inode locked changes the size of the file.
 */
bool bch_rs_direct_queues(struct kiocb *iocb, size_t count)
{
	return !is_sync_kiocb(iocb) && !iocb_is_dsync(iocb) &&
	       iocb->ki_pos + count <= i_size_read(file_inode(iocb->ki_filp));
}

/* Until the end of the write, the file is not cut, nor shared. */
void bch_rs_direct_hold_inode(struct inode *inode)
{
	inode_dio_begin(inode);
}

/* The last use of the file: it may be gone afterwards. */
void bch_rs_direct_queued_end(struct kiocb *iocb, loff_t pos, ssize_t ret)
{
	if (ret > 0)
		iocb->ki_pos = pos + ret;
	inode_dio_end(file_inode(iocb->ki_filp));
	iocb->ki_complete(iocb, ret);
}

size_t bch_rs_take_from_iter(void *to, size_t len, struct iov_iter *from)
{
	return copy_from_iter(to, len, from);
}

/* Whether it is memory that can be given to a device, aligned as the mask wants. */
bool bch_rs_iter_can_pin(const struct iov_iter *from, size_t mask)
{
	return (user_backed_iter(from) || iov_iter_is_bvec(from)) &&
	       !(iov_iter_alignment(from) & mask);
}

/* Whether the pages of bch_rs_pin_iter() have to be unpinned. */
bool bch_rs_iter_pins(const struct iov_iter *from)
{
	return iov_iter_extract_will_pin(from);
}

/* Takes pages, `offset` bytes into the first one: how many bytes, or an errno. */
ssize_t bch_rs_pin_iter(struct iov_iter *from, struct page **pages,
			unsigned int nr_pages, size_t len, size_t *offset)
{
	return iov_iter_extract_pages(from, &pages, len, nr_pages, 0, offset);
}

void bch_rs_release_short(struct inode *inode, loff_t start, loff_t end,
			  unsigned int flags, struct iomap *iomap,
			  void (*punch)(struct inode *inode, loff_t offset,
					loff_t length, struct iomap *iomap))
{
	filemap_invalidate_lock(inode->i_mapping);
	iomap_write_delalloc_release(inode, start, end, flags, iomap, punch);
	filemap_invalidate_unlock(inode->i_mapping);
}

int bch_rs_zero_range(struct inode *inode, loff_t pos, loff_t len,
		      const struct iomap_ops *ops,
		      const struct iomap_write_ops *write_ops)
{
	return iomap_zero_range(inode, pos, len, NULL, ops, write_ops, NULL);
}

/* Pages stay from here to bch_rs_let_pages_go(). */
void bch_rs_keep_pages(struct inode *inode)
{
	filemap_invalidate_lock_shared(inode->i_mapping);
}

void bch_rs_let_pages_go(struct inode *inode)
{
	filemap_invalidate_unlock_shared(inode->i_mapping);
}

/* The file is going to be changed by a mapping. Pages stay until the end. */
struct inode *bch_rs_mkwrite_start(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);

	sb_start_pagefault(inode->i_sb);
	file_update_time(file);
	bch_rs_keep_pages(inode);
	return inode;
}

vm_fault_t bch_rs_mkwrite_end(struct vm_fault *vmf, const struct iomap_ops *ops)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t ret = iomap_page_mkwrite(vmf, ops, NULL);

	bch_rs_let_pages_go(inode);
	sb_end_pagefault(inode->i_sb);
	return ret;
}

void bch_rs_mmap_prepare(struct vm_area_desc *desc,
			 const struct vm_operations_struct *ops)
{
	file_accessed(desc->file);
	desc->vm_ops = ops;
}

/*
 * Many folios whose writeback ends: as in the completion of a bio, interrupts are off meanwhile,
 * and not switched for each thing that is counted.
 */
unsigned long bch_rs_end_folios_start(void)
{
	unsigned long flags = 0;

	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		local_irq_save(flags);
	return flags;
}

void bch_rs_end_folios_end(unsigned long flags)
{
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		local_irq_restore(flags);
}

void bch_rs_note_error(struct inode *inode, u64 pos, u64 len, int error)
{
	/* To who syncs the file, EROFS would mean something else. */
	mapping_set_error(inode->i_mapping, error == -EROFS ? -EIO : error);
	fserror_report_io(inode, FSERR_BUFFERED_WRITE, pos, len, error,
			  GFP_NOFS);
}

void bch_rs_add_sectors(struct inode *inode, s64 sectors)
{
	spin_lock(&inode->i_lock);
	inode->i_blocks += sectors;
	spin_unlock(&inode->i_lock);
}

/*
 * The file is longer. What a mapping has put behind the old end, in the page
 * with it, is not to show. The inode is locked.
 */
void bch_rs_set_longer(struct inode *inode, loff_t size)
{
	loff_t old = i_size_read(inode);

	i_size_write(inode, size);
	pagecache_isize_extended(inode, old, size);
}

void bch_rs_release_always(struct address_space *mapping)
{
	mapping_set_release_always(mapping);
}

void bch_rs_stable_writes(struct address_space *mapping)
{
	mapping_set_stable_writes(mapping);
}

bool bch_rs_folio_may_be_pinned(struct folio *folio)
{
	return folio_maybe_dma_pinned(folio);
}

bool bch_rs_wbc_waits(const struct writeback_control *wbc)
{
	return wbc->sync_mode == WB_SYNC_ALL;
}

void bch_rs_lock_cache(struct inode *inode)
{
	inode_lock(inode);
	inode_dio_wait(inode);
	filemap_invalidate_lock(inode->i_mapping);
}

void bch_rs_unlock_cache(struct inode *inode)
{
	filemap_invalidate_unlock(inode->i_mapping);
	inode_unlock(inode);
}

void bch_rs_lock_pages(struct inode *inode)
{
	inode_dio_wait(inode);
	filemap_invalidate_lock(inode->i_mapping);
}

/* The same, but for what is read and written past the page cache. */
void bch_rs_lock_pages_only(struct inode *inode)
{
	filemap_invalidate_lock(inode->i_mapping);
}

void bch_rs_unlock_pages(struct inode *inode)
{
	filemap_invalidate_unlock(inode->i_mapping);
}

bool bch_rs_file_writes(const struct file *file)
{
	return file->f_mode & FMODE_WRITE;
}

int bch_rs_changed(struct file *file)
{
	return file_modified(file);
}

/*
 * Locks both inodes and keeps pages out of their caches, when there is something to be done: *len
 * is how much.
 */
int bch_rs_remap_start(struct file *from, loff_t pos_from, struct file *to,
		       loff_t pos_to, loff_t *len, unsigned int flags)
{
	struct inode *src = file_inode(from), *dst = file_inode(to);
	unsigned int mask = i_blocksize(dst) - 1;
	int ret;

	if (flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	if ((pos_from | pos_to) & mask)
		return -EINVAL;
	lock_two_nondirectories(src, dst);
	filemap_invalidate_lock_two(src->i_mapping, dst->i_mapping);
	inode_dio_wait(src);
	inode_dio_wait(dst);
	ret = generic_remap_file_range_prep(from, pos_from, to, pos_to, len,
					    flags);
	if (ret || !*len)
		bch_rs_remap_end(from, to);
	return ret;
}

/* What is going to be something else leaves the page cache. Nothing of it is dirty. */
int bch_rs_remap_drop(struct file *to, loff_t pos, loff_t len)
{
	struct address_space *mapping = to->f_mapping;
	int ret = filemap_write_and_wait_range(mapping, pos, pos + len - 1);

	if (ret)
		return ret;
	return invalidate_inode_pages2_range(mapping, pos >> PAGE_SHIFT,
					     (pos + len - 1) >> PAGE_SHIFT);
}

/*
 * What is from pos on leaves the page cache, once it is written. So does what else is in pages with
 * a part of it. Nothing can come back meanwhile.
 */
int bch_rs_drop_pages_from(struct inode *inode, loff_t pos)
{
	loff_t start = round_down(pos, PAGE_SIZE);
	int ret = filemap_write_and_wait_range(inode->i_mapping, start,
					       LLONG_MAX);

	if (ret)
		return ret;
	truncate_pagecache_range(inode, start, LLONG_MAX);
	return 0;
}

/* Whether a change by way of this file has to be safe when it is done. */
bool bch_rs_file_is_synchronous(const struct file *file)
{
	return file->f_flags & (__O_SYNC | O_DSYNC) || IS_SYNC(file_inode(file));
}

void bch_rs_remap_end(struct file *from, struct file *to)
{
	struct inode *src = file_inode(from), *dst = file_inode(to);

	filemap_invalidate_unlock_two(src->i_mapping, dst->i_mapping);
	unlock_two_nondirectories(src, dst);
}
