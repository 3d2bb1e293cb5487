#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 240
# guest: uml-debug? 900
# guest: stock? 900
# programs
"""fsx: one process does random things to a file, through the page cache and through mappings, and knows what
has to be in it after each; here on filesystems that were made, or are mounted, with different options. What
is there then is there after the next mount, and the tools' fsck finds nothing.

    fsx.py [OPERATIONS [SEED]]    so many each; the seed says which"""
import os
import sys

import common
import first
import rw
import stress
from common import Log, Loop, Tap, mount, mount_with, umount

OPERATIONS, SEED = 400, 1
# MiB of each device, how they are formatted, how they are mounted.
FILESYSTEMS = {
    'blocks of 512 bytes': ((128,), '--block_size=512 --btree_node_size=16k --bucket=128k DEV', ''),
    'blocks of 4096 bytes': ((128,), '--block_size=4k --bucket=256k DEV', 'noinline_data'),
    'checksums': ((128,), '--block_size=512 --data_checksum=crc64 --bucket=128k DEV', ''),
    'lz4': ((128,), '--block_size=512 --compression=lz4 --bucket=128k DEV', 'data_checksum=xxhash'),
    'zstd': ((128,), '--block_size=4k --bucket=256k DEV', 'compression=zstd:3'),
    'replicas': ((128, 128), '--replicas=2 --bucket=256k DEV DEV', 'compression=gzip'),
    'encrypted, no passphrase': ((128,), '--encrypted --no_passphrase --bucket=256k DEV', ''),
    'no checksums, nocow': ((128,), '--block_size=4k --bucket=256k DEV', 'data_checksum=none,nocow'),
}
WEIGHTS = {'read': 10, 'write': 12, 'mapread': 8, 'mapwrite': 12, 'truncate': 6, 'invalidate': 1, 'fsync': 1,
           'fdatasync': 1, 'close_open': 1, 'posix_fallocate': 3, 'punch_hole': 5, 'sendfile': 2, 'posix_fadvise': 4,
           'copy_file_range': 5}
# What differs from file to file: the longest it may be, and how long an operation. Nothing is allocated where
# that could be 0 bytes: fsx takes the error for one.
FILES = {
    'mixed': 'flen = 262144\n[opsize]\nmin = 1\nmax = 65536\n',
    # It fits to where keys are, now and then.
    'small': 'flen = 6000\n[opsize]\nmin = 1\nmax = 1500\n',
    'aligned': 'flen = 1048576\n[opsize]\nmin = 4096\nmax = 131072\nalign = 4096\n',
    # What is mapped is not written back by the one who wrote it.
    'large': 'flen = 4000000\nnomsyncafterwrite = true\n[opsize]\nmin = 1000\nmax = 300000\n',
}


def exercised(root, name, operations, seed):
    config = f'{common.WORK}/{name}.toml'
    with open(config, 'w', encoding='ascii') as f:
        weights = {**WEIGHTS, 'posix_fallocate': 0} if 'align' in FILES[name] else WEIGHTS
        f.write(FILES[name] + '[weights]\n' + ''.join(f'{w} = {n}\n' for w, n in weights.items()))
    wrong = stress.run(60 + operations // 20, 'fsx', '-N', str(operations), '-S', str(seed), '-P', common.WORK,
                       '-f', config, f'{root}/{name}')
    return [f'{name}: {w}' for w in wrong]


def sums(root):
    found = {}
    _, errors = common.read_everything(root, found)
    return found, [f'{p!r}: {os.strerror(e)}' for p, e in errors]


def on(name, operations, seed):
    sizes, how, options = FILESYSTEMS[name]
    first.KINDS[name] = sizes, how
    wrong = []
    with Loop(first.make(name)) as dev:
        mount_with(dev.source, options)
        try:
            for nr, file in enumerate(FILES):
                wrong += exercised(common.MNT, file, operations, seed + nr)
            before, bad = sums(common.MNT)
            wrong += bad
        finally:
            umount()
        for flags in common.MS_RDONLY, 0:
            mount(dev.source, flags=flags)
            after, bad = sums(common.MNT)
            umount()
            wrong += bad + [f'{p!r}: {before[p]}, after a mount {after.get(p)}' for p in before
                            if before[p] != after.get(p)]
        wrong += rw.fsck(dev.devices)
    return wrong


def main():
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else OPERATIONS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    tap, log = Tap(), Log()
    tests = [(f'fsx: {name}', on, name, operations, seed + 10 * nr) for nr, name in enumerate(FILESYSTEMS)]
    tap.check_each(log, [t for t in tests if os.environ.get('ONLY', '') in t[0]], 300 + operations // 2)
    tap.done()


if __name__ == '__main__':
    main()
