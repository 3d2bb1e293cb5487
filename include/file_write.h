/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_FILE_WRITE_H
#define _BCACHEFS_RS_FILE_WRITE_H

#include <linux/mm_types.h>
#include <linux/types.h>

struct address_space;
struct file;
struct folio;
struct inode;
struct iomap;
struct iomap_ops;
struct iomap_write_ops;
struct iov_iter;
struct kiocb;
struct vm_area_desc;
struct vm_operations_struct;
struct writeback_control;

ssize_t bch_rs_write_start(struct kiocb *iocb, struct iov_iter *from);
void bch_rs_write_end(struct inode *inode);
int bch_rs_sync_inode(struct inode *inode, bool data_only);
ssize_t bch_rs_write_sync(struct kiocb *iocb, ssize_t count);
ssize_t bch_rs_write_back_part(struct kiocb *iocb, ssize_t count);
int bch_rs_direct_start(struct kiocb *iocb, size_t count);
void bch_rs_direct_done(struct kiocb *iocb, loff_t pos, size_t count);
bool bch_rs_direct_queues(struct kiocb *iocb, size_t count);
void bch_rs_direct_hold_inode(struct inode *inode);
void bch_rs_direct_queued_end(struct kiocb *iocb, loff_t pos, ssize_t ret);
size_t bch_rs_take_from_iter(void *to, size_t len, struct iov_iter *from);
bool bch_rs_iter_can_pin(const struct iov_iter *from, size_t mask);
bool bch_rs_iter_pins(const struct iov_iter *from);
ssize_t bch_rs_pin_iter(struct iov_iter *from, struct page **pages,
			unsigned int nr_pages, size_t len, size_t *offset);

void bch_rs_release_short(struct inode *inode, loff_t start, loff_t end,
			  unsigned int flags, struct iomap *iomap,
			  void (*punch)(struct inode *inode, loff_t offset,
					loff_t length, struct iomap *iomap));
int bch_rs_zero_range(struct inode *inode, loff_t pos, loff_t len,
		      const struct iomap_ops *ops,
		      const struct iomap_write_ops *write_ops);
struct inode *bch_rs_mkwrite_start(struct vm_fault *vmf);
vm_fault_t bch_rs_mkwrite_end(struct vm_fault *vmf, const struct iomap_ops *ops);
void bch_rs_keep_pages(struct inode *inode);
void bch_rs_let_pages_go(struct inode *inode);
void bch_rs_mmap_prepare(struct vm_area_desc *desc,
			 const struct vm_operations_struct *ops);

unsigned long bch_rs_end_folios_start(void);
void bch_rs_end_folios_end(unsigned long flags);
void bch_rs_note_error(struct inode *inode, u64 pos, u64 len, int error);
void bch_rs_add_sectors(struct inode *inode, s64 sectors);
void bch_rs_set_longer(struct inode *inode, loff_t size);
void bch_rs_release_always(struct address_space *mapping);
void bch_rs_stable_writes(struct address_space *mapping);
bool bch_rs_folio_may_be_pinned(struct folio *folio);
bool bch_rs_wbc_waits(const struct writeback_control *wbc);
void bch_rs_lock_cache(struct inode *inode);
void bch_rs_unlock_cache(struct inode *inode);
void bch_rs_lock_pages(struct inode *inode);
void bch_rs_lock_pages_only(struct inode *inode);
void bch_rs_unlock_pages(struct inode *inode);
int bch_rs_remap_start(struct file *from, loff_t pos_from, struct file *to,
		       loff_t pos_to, loff_t *len, unsigned int flags);
int bch_rs_remap_drop(struct file *to, loff_t pos, loff_t len);
int bch_rs_drop_pages_from(struct inode *inode, loff_t pos);
void bch_rs_remap_end(struct file *from, struct file *to);
bool bch_rs_file_writes(const struct file *file);
int bch_rs_changed(struct file *file);
bool bch_rs_file_is_synchronous(const struct file *file);

#endif
