// SPDX-License-Identifier: GPL-2.0
/*
 * Names compared without case. Fields and functions for that exist only in kernels with
 * CONFIG_UNICODE, which is why this is C.
 */
#include <linux/fs.h>
#include <linux/unicode.h>

#include "names.h"

/* The tables of the newest version that the kernel has; an errno when it has none. */
struct unicode_map *bch_rs_unicode_load(void)
{
	if (!IS_ENABLED(CONFIG_UNICODE))
		return ERR_PTR(-EOPNOTSUPP);
	return utf8_load(UTF8_LATEST);
}

void bch_rs_unicode_unload(struct unicode_map *map)
{
	if (IS_ENABLED(CONFIG_UNICODE))
		utf8_unload(map);
}

/* The length of the name without case; an errno when it is no UTF-8 or too long. */
int bch_rs_unicode_fold(const struct unicode_map *map, const u8 *name,
			size_t len, u8 *to, size_t size)
{
	const struct qstr str = QSTR_INIT(name, len);

	if (!IS_ENABLED(CONFIG_UNICODE))
		return -EOPNOTSUPP;
	return utf8_casefold(map, &str, to, size);
}

/*
 * Makes the dentry cache compare names of S_CASEFOLD directories by this map. That goes by
 * callbacks, which slow down lookups of every directory: so only where such directories are in use.
 */
void bch_rs_set_encoding(struct super_block *sb, struct unicode_map *map,
			 bool in_use)
{
#if IS_ENABLED(CONFIG_UNICODE)
	sb->s_encoding = map;
	if (in_use)
		generic_set_sb_d_ops(sb);
#endif
}
