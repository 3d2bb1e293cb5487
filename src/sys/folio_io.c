// SPDX-License-Identifier: GPL-2.0
/*
 * Page cache accessors that are macros or inline functions in the kernel's headers.
 */
#include <linux/bio.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/iomap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "folio_io.h"
#include "glue.h"

void *bch_rs_page_address(struct page *page)
{
	return page_address(page);
}

struct page *bch_rs_folio_page(struct folio *folio, size_t offset)
{
	return folio_page(folio, offset >> PAGE_SHIFT);
}

struct folio *bch_rs_page_folio(struct page *page, size_t *offset)
{
	struct folio *folio = page_folio(page);

	*offset = folio_page_idx(folio, page) << PAGE_SHIFT;
	return folio;
}

loff_t bch_rs_folio_pos(struct folio *folio)
{
	return folio_pos(folio);
}

void bch_rs_flush_folio(struct folio *folio)
{
	flush_dcache_folio(folio);
}

struct page *bch_rs_page_at(struct page *page, size_t offset)
{
	return page + (offset >> PAGE_SHIFT);
}

struct page *bch_rs_alloc_scratch(unsigned int order)
{
	gfp_t more = order ? __GFP_COMP | __GFP_NORETRY | __GFP_NOWARN : 0;

	return alloc_pages(GFP_NOFS | more, order);
}

void bch_rs_free_scratch(struct page *page, unsigned int order)
{
	__free_pages(page, order);
}

struct bio *bch_rs_read_bio(struct block_device *bdev, unsigned short nr_vecs,
			    bool ahead, struct bio_set *set)
{
	return bio_alloc_bioset(bdev, nr_vecs,
				REQ_OP_READ | (ahead ? REQ_RAHEAD : 0),
				GFP_NOFS, set);
}

/*
 * How many vectors a piece of memory takes; 0 if the device can not have it.
 */
unsigned int bch_rs_bdev_vecs(struct block_device *bdev, const void *buf,
			      size_t len)
{
	if (!bch_rs_bdev_reaches(bdev, buf))
		return 0;
	return is_vmalloc_addr(buf) ? bio_add_max_vecs((void *)buf, len) : 1;
}

/* A write of data; never fails. */
struct bio *bch_rs_write_bio(struct block_device *bdev, sector_t sector,
			     unsigned int nr_vecs, bool waits,
			     void (*end)(struct bio *bio), void *private)
{
	struct bio *bio;

	bio = bio_alloc(bdev, clamp(nr_vecs, 1U, (unsigned int)BIO_MAX_VECS),
			REQ_OP_WRITE | (waits ? REQ_SYNC | REQ_IDLE : 0),
			GFP_NOFS);
	bio->bi_iter.bi_sector = sector;
	bio->bi_end_io = end;
	bio->bi_private = private;
	return bio;
}

/* Adds the front of a piece of memory: how much there was room for. */
size_t bch_rs_bio_add(struct bio *bio, const void *buf, size_t len)
{
	struct page *page;

	if (!is_vmalloc_addr(buf)) {
		page = virt_to_page(buf);
	} else {
		len = min(len, PAGE_SIZE - offset_in_page(buf));
		flush_kernel_vmap_range((void *)buf, len);
		page = vmalloc_to_page(buf);
	}
	return bio_add_page(bio, page, len, offset_in_page(buf));
}

loff_t bch_rs_rac_pos(struct readahead_control *rac)
{
	return readahead_pos(rac);
}

size_t bch_rs_rac_len(struct readahead_control *rac)
{
	return readahead_length(rac);
}

struct inode *bch_rs_rac_inode(struct readahead_control *rac)
{
	return rac->mapping->host;
}

void bch_rs_mapping_set_orders(struct address_space *mapping,
			       unsigned int max_order)
{
	mapping_set_folio_order_range(mapping, 0,
				      min(max_order, MAX_PAGECACHE_ORDER));
}

int bch_rs_file_open(struct inode *inode, struct file *file)
{
	file->f_mode |= FMODE_CAN_ODIRECT;
	return generic_file_open(inode, file);
}

/* Whether the caller, or a client of the server it is, has 31 bits for positions. */
bool bch_rs_dir_is_narrow(const struct file *file)
{
	if (file->f_mode & FMODE_32BITHASH)
		return true;
	if (file->f_mode & FMODE_64BITHASH)
		return false;
#ifdef CONFIG_COMPAT
	return in_compat_syscall();
#else
	return BITS_PER_LONG == 32;
#endif
}

/* Reads at most `limit` bytes, a multiple of the device's block size. */
ssize_t bch_rs_direct_read(struct kiocb *iocb, struct iov_iter *to,
			   const struct iomap_ops *ops,
			   const struct iomap_dio_ops *dops, bool bounce,
			   size_t limit)
{
	size_t count = iov_iter_count(to);
	ssize_t ret;

	file_accessed(iocb->ki_filp);
	iov_iter_truncate(to, limit);
	ret = iomap_dio_rw(iocb, to, ops, dops,
			   bounce ? IOMAP_DIO_BOUNCE : 0, NULL, 0);
	/* Somebody else may have the request already. */
	if (ret != -EIOCBQUEUED && count > limit)
		iov_iter_reexpand(to, iov_iter_count(to) + (count - limit));
	return ret;
}

/*
 * Takes contiguous memory off the front of what is left of a bio: its first
 * page, the offset into that page, and the length; 0 if nothing is left.
 */
size_t bch_rs_direct_piece(struct bio *bio, struct bvec_iter *left,
			   struct page **page, size_t *offset)
{
	struct bio_vec vec;

	if (!left->bi_size)
		return 0;
	vec = mp_bvec_iter_bvec(bio->bi_io_vec, *left);
	*page = vec.bv_page + (vec.bv_offset >> PAGE_SHIFT);
	*offset = offset_in_page(vec.bv_offset);
	bio_advance_iter_single(bio, left, vec.bv_len);
	return vec.bv_len;
}

void bch_rs_direct_hold(struct bio *bio)
{
	bio_inc_remaining(bio);
}

void bch_rs_direct_end(struct bio *bio, int error)
{
	if (error)
		WRITE_ONCE(bio->bi_status, errno_to_blk_status(error));
	bio_endio(bio);
}

void bch_rs_direct_in_task(struct bio *bio)
{
	bio_set_flag(bio, BIO_COMPLETE_IN_TASK);
}
