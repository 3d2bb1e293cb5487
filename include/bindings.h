/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: what the module needs of the kernel beyond `kernel::bindings`. Which parts of
 * these headers are taken is in bindgen_parameters.
 */
#ifndef _BCACHEFS_RS_BINDINGS_H
#define _BCACHEFS_RS_BINDINGS_H

#include <linux/hrtimer_types.h>

#include <crypto/chacha.h>
#include <crypto/poly1305.h>
#include <crypto/sha2.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/crc32.h>
#include <linux/crc64.h>
#include <linux/exportfs.h>
#include <linux/filelock.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/iomap.h>
#include <linux/lz4.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/raid/pq.h>
#include <linux/raid/xor.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <linux/xattr.h>
#include <linux/xxhash.h>
#include <linux/zlib.h>
#include <linux/zstd.h>

#include "compressors.h"
#include "file_write.h"
#include "folio_io.h"
#include "glue.h"
#include "names.h"
#include "nodes.h"
#include "owners.h"
#include "kobject.h"
#include "subvolumes.h"
#include "tasks.h"

/* What bindgen does not take for a constant. */
const unsigned long BCH_CONST_SB_RDONLY = SB_RDONLY;
const unsigned long BCH_CONST_SB_NOSEC = SB_NOSEC;
const unsigned long BCH_CONST_SB_POSIXACL = SB_POSIXACL;
const unsigned long BCH_CONST_SB_ACTIVE = SB_ACTIVE;
const int BCH_CONST_ANY_CPU = WORK_CPU_UNBOUND;

#endif
