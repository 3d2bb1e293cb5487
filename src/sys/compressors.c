// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's compressors, each for all of its input at once: how much output that was, 0 when
 * there was not enough room for it. The memory that they work in is the caller's, as large as
 * bch_rs_*_space() says, and aligned to 8 bytes.
 */
#include <linux/lz4.h>
#include <linux/minmax.h>
#include <linux/zlib.h>
#include <linux/zstd.h>

#include "compressors.h"

#define DEFLATE_MEMORY	8

size_t bch_rs_lz4_space(void)
{
	return LZ4_MEM_COMPRESS;
}

size_t bch_rs_lz4(const void *src, size_t len, void *dst, size_t room,
		  void *space)
{
	return LZ4_compress_default(src, dst, len, room, space);
}

size_t bch_rs_deflate_space(void)
{
	return zlib_deflate_workspacesize(MAX_WBITS, DEFLATE_MEMORY);
}

/* A raw stream. Level 0 is what is the default. */
size_t bch_rs_deflate(const void *src, size_t len, void *dst, size_t room,
		      int level, void *space)
{
	z_stream stream = {
		.next_in = src,
		.avail_in = len,
		.next_out = dst,
		.avail_out = room,
		.workspace = space,
	};
	int ret;

	if (zlib_deflateInit2(&stream, level ? min(level, Z_BEST_COMPRESSION) :
						Z_DEFAULT_COMPRESSION,
			      Z_DEFLATED, -MAX_WBITS, DEFLATE_MEMORY,
			      Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	ret = zlib_deflate(&stream, Z_FINISH);
	zlib_deflateEnd(&stream);
	return ret == Z_STREAM_END ? stream.total_out : 0;
}

/* Level 0 is what is the default. */
static zstd_parameters zstd_params(int level, size_t len)
{
	return zstd_get_params(min(level, zstd_max_clevel()), len);
}

size_t bch_rs_zstd_space(int level, size_t len)
{
	zstd_parameters params = zstd_params(level, len);

	return zstd_cctx_workspace_bound(&params.cParams);
}

size_t bch_rs_zstd(const void *src, size_t len, void *dst, size_t room,
		   int level, void *space, size_t space_bytes)
{
	zstd_parameters params = zstd_params(level, len);
	zstd_cctx *ctx = zstd_init_cctx(space, space_bytes);
	size_t made;

	if (!ctx)
		return 0;
	made = zstd_compress_cctx(ctx, dst, room, src, len, &params);
	return zstd_is_error(made) ? 0 : made;
}
