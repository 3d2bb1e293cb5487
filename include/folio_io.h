/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_FOLIO_IO_H
#define _BCACHEFS_RS_FOLIO_IO_H

#include <linux/types.h>

struct address_space;
struct bio;
struct bio_set;
struct block_device;
struct file;
struct folio;
struct inode;
struct page;
struct readahead_control;

void *bch_rs_page_address(struct page *page);
struct page *bch_rs_folio_page(struct folio *folio, size_t offset);
struct folio *bch_rs_page_folio(struct page *page, size_t *offset);
loff_t bch_rs_folio_pos(struct folio *folio);
void bch_rs_flush_folio(struct folio *folio);

struct page *bch_rs_alloc_scratch(unsigned int order);
void bch_rs_free_scratch(struct page *page, unsigned int order);
struct bio *bch_rs_read_bio(struct block_device *bdev, unsigned short nr_vecs,
			    bool ahead, struct bio_set *set);

loff_t bch_rs_rac_pos(struct readahead_control *rac);
size_t bch_rs_rac_len(struct readahead_control *rac);
struct inode *bch_rs_rac_inode(struct readahead_control *rac);

void bch_rs_mapping_set_orders(struct address_space *mapping,
			       unsigned int max_order);
int bch_rs_file_open(struct inode *inode, struct file *file);

#endif
