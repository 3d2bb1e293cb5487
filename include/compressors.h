/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_COMPRESSORS_H
#define _BCACHEFS_RS_COMPRESSORS_H

#include <linux/types.h>

size_t bch_rs_lz4_space(void);
size_t bch_rs_lz4(const void *src, size_t len, void *dst, size_t room,
		  void *space);
size_t bch_rs_deflate_space(void);
size_t bch_rs_deflate(const void *src, size_t len, void *dst, size_t room,
		      int level, void *space);
size_t bch_rs_zstd_space(int level, size_t len);
size_t bch_rs_zstd(const void *src, size_t len, void *dst, size_t room,
		   int level, void *space, size_t space_bytes);

#endif
