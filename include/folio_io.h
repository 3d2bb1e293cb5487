/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_FOLIO_IO_H
#define _BCACHEFS_RS_FOLIO_IO_H

#include <linux/types.h>

struct address_space;
struct bio;
struct bio_set;
struct block_device;
struct bvec_iter;
struct file;
struct folio;
struct inode;
struct iomap_dio_ops;
struct iomap_ops;
struct iov_iter;
struct kiocb;
struct page;
struct readahead_control;

void *bch_rs_page_address(struct page *page);
struct page *bch_rs_folio_page(struct folio *folio, size_t offset);
struct folio *bch_rs_page_folio(struct page *page, size_t *offset);
loff_t bch_rs_folio_pos(struct folio *folio);
void bch_rs_flush_folio(struct folio *folio);
struct page *bch_rs_page_at(struct page *page, size_t offset);

struct page *bch_rs_alloc_scratch(unsigned int order);
void bch_rs_free_scratch(struct page *page, unsigned int order);
struct bio *bch_rs_read_bio(struct block_device *bdev, unsigned short nr_vecs,
			    bool ahead, struct bio_set *set);

unsigned int bch_rs_bdev_vecs(struct block_device *bdev, const void *buf,
			      size_t len);
struct bio *bch_rs_write_bio(struct block_device *bdev, sector_t sector,
			     unsigned int nr_vecs, bool waits,
			     void (*end)(struct bio *bio), void *private);
size_t bch_rs_bio_add(struct bio *bio, const void *buf, size_t len);

loff_t bch_rs_rac_pos(struct readahead_control *rac);
size_t bch_rs_rac_len(struct readahead_control *rac);
struct inode *bch_rs_rac_inode(struct readahead_control *rac);

void bch_rs_mapping_set_orders(struct address_space *mapping,
			       unsigned int max_order);
int bch_rs_file_open(struct inode *inode, struct file *file);
bool bch_rs_dir_is_narrow(const struct file *file);

ssize_t bch_rs_direct_read(struct kiocb *iocb, struct iov_iter *to,
			   const struct iomap_ops *ops,
			   const struct iomap_dio_ops *dops, bool bounce,
			   size_t limit);
size_t bch_rs_direct_piece(struct bio *bio, struct bvec_iter *left,
			   struct page **page, size_t *offset);
void bch_rs_direct_hold(struct bio *bio);
void bch_rs_direct_end(struct bio *bio, int error);
void bch_rs_direct_in_task(struct bio *bio);

#endif
