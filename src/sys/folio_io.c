// SPDX-License-Identifier: GPL-2.0
/*
 * Page cache accessors that are macros or inline functions in the kernel's headers.
 */
#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/iomap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "folio_io.h"

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
