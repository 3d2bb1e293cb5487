#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 300
# guest: uml-debug? 500
# guest: stock? 400
"""/sys/fs/bcachefs/UUID/counters: what is done to a filesystem is counted, each thing under its name, as often
as it was done where that is known; and the superblock has it afterwards."""
import os
import sys
import time

import common
import first
from common import Log, Loop, Tap, mount, umount

KIND, FILES, LARGE, NAME = 'large', 8000, 48 << 20, 'n' * 150
UNITS = {'': 1, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}
# What must have happened at least once after `work`.
HAPPENED = (
    'btree_node_alloc', 'btree_node_free', 'btree_node_merge', 'btree_node_merge_attempt', 'btree_node_read',
    'btree_node_set_root', 'btree_node_split', 'btree_node_write', 'bucket_alloc', 'bucket_discard',
    'bucket_discard_worker', 'btree_key_cache_fill', 'data_read', 'data_read_hole', 'data_read_inline',
    'data_write', 'journal_flush', 'journal_reclaim_start', 'journal_reclaim_finish', 'journal_write',
    'trans_restart_btree_node_split', 'write_buffer_flush', 'write_buffer_flush_sync', 'write_super')
# What must not: nothing of it was wanted, or went wrong.
NOT = ('bucket_alloc_fail', 'btree_reserve_get_fail', 'copygc', 'data_read_retry', 'data_update', 'data_update_fail',
       'gc_gens_start', 'open_bucket_alloc_fail', 'trans_restart_injected')
# What must have been measured.
TIMES = ('btree_node_write', 'btree_write_buffer_flush', 'btree_node_split', 'data_write', 'journal_flush_seq',
         'journal_flush_write', 'journal_pin_flush_btree', 'journal_pin_flush_key_cache')
log = Log()


def measured(name):
    """How often something was measured."""
    with open(f'/sys/fs/bcachefs/{common.uuid_of(common.MNT)}/time_stats/{name}', encoding='ascii') as f:
        return int(f.readline().split()[-1])


def counted(line=0):
    """What each file of `counters` says: since the mount, or with 1 since the filesystem was made."""
    top, found = f'/sys/fs/bcachefs/{common.uuid_of(common.MNT)}/counters', {}
    for name in os.listdir(top):
        with open(f'{top}/{name}', encoding='ascii') as f:
            text = f.read().splitlines()[line].split()[-1]
        found[name] = float(text.rstrip('kMG')) * UNITS[text.lstrip('0123456789.')]
    return found


def work():
    """Makes much, reads some of it, and removes all but one file."""
    top = f'{common.MNT}/d'
    os.mkdir(top)
    for i in range(FILES):
        os.close(os.open(f'{top}/{NAME}{i}', os.O_CREAT | os.O_WRONLY))
    with open(f'{common.MNT}/large', 'wb') as f:
        f.write(os.urandom(1 << 20) * (LARGE >> 20))
        f.truncate(LARGE + (8 << 20))
    with open(f'{common.MNT}/small', 'wb') as f:
        f.write(b'small')
    os.sync()
    for i in range(FILES):
        os.unlink(f'{top}/{NAME}{i}')
    os.sync()


def read_again():
    for name in 'large', 'small':
        with open(f'{common.MNT}/{name}', 'rb') as f:
            f.read()
    os.unlink(f'{common.MNT}/large')
    os.sync()


def after_work():
    wrong = []
    with Loop(first.make(KIND)) as dev:
        mount(dev.source, flags=0)
        try:
            before = counted()
            work()
            worked = counted()
            wrong += [f'time_stats/{n} is 0' for n in TIMES if not measured(n)]
        finally:
            umount()
        mount(dev.source, flags=0)
        try:
            # In this order: it goes on meanwhile.
            now, kept = counted(), counted(1)
            read_again()
            # Buckets are made free in the background.
            until = time.monotonic() + 30
            while not counted()['bucket_discard'] and time.monotonic() < until:
                time.sleep(0.1)
            both = {n: worked[n] + v for n, v in counted().items()}
        finally:
            umount()
    wrong += [f'{n} is 0' for n in HAPPENED if not both[n]]
    wrong += [f'{n} is {both[n]}' for n in NOT if both[n]]
    # Sizes are rounded for who reads them.
    wrong += [f'{n}: {worked[n]} counted, {kept[n]} after the next mount' for n in both
              if kept[n] - now[n] < worked[n] * 0.99]
    made = worked['transaction_commit'] - before['transaction_commit']
    if made < 2 * FILES:
        wrong.append(f'{made} transactions for {2 * FILES} changes')
    if worked['transaction_begin'] < worked['transaction_commit']:
        wrong.append(f'{worked["transaction_begin"]} begun, {worked["transaction_commit"]} committed')
    data = worked['data_write'] - before['data_write']
    if not LARGE <= data < LARGE + (1 << 20) or worked['sectors_alloc'] < LARGE:
        wrong.append(f'{LARGE} bytes written, {data} counted, {worked["sectors_alloc"]} allocated')
    syncs = worked['sync_fs'] - before['sync_fs']
    if syncs != 2:
        wrong.append(f'2 times sync, {syncs} counted')
    return wrong


def calls_of_fsync():
    """Each fsync of a file and of a directory is counted, and makes the journal safe once."""
    with Loop(first.make(KIND)) as dev:
        mount(dev.source, flags=0)
        try:
            fd, top = os.open(f'{common.MNT}/f', os.O_CREAT | os.O_RDWR), os.open(common.MNT, os.O_RDONLY)
            before = counted()
            for _ in range(20):
                os.write(fd, b'x' * 5000)
                os.fsync(fd)
                os.fdatasync(fd)
            os.fsync(top)
            after = counted()
            os.close(fd)
            os.close(top)
        finally:
            umount()
    more = {n: after[n] - before[n] for n in ('fsync', 'journal_flush', 'journal_write')}
    if more['fsync'] != 41 or more['journal_flush'] < 20 or not 20 <= more['journal_write'] <= 60:
        return str(more)
    return None


def main():
    tap = Tap()
    tap.check_each(log, (
        ('what is done is counted, and kept', after_work),
        ('calls of fsync are counted', calls_of_fsync)), 200)
    tap.done()


if __name__ == '__main__':
    sys.exit(main())
