/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BCACHEFS_RS_NAMES_H
#define _BCACHEFS_RS_NAMES_H

#include <linux/types.h>

struct super_block;
struct unicode_map;

struct unicode_map *bch_rs_unicode_load(void);
void bch_rs_unicode_unload(struct unicode_map *map);
int bch_rs_unicode_fold(const struct unicode_map *map, const u8 *name,
			size_t len, u8 *to, size_t size);
void bch_rs_set_encoding(struct super_block *sb, struct unicode_map *map,
			 bool in_use);

#endif
