#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 120
# guest: uml-debug? 300
# guest: stock? 240
"""What is set while a filesystem is mounted: options in sysfs, options of files as extended attributes
and by the tools, the label. Each has an effect, and is there after the next mount."""
import ctypes
import errno
import fcntl
import os

import common
import packaged
from common import Log, Loop, Skip, Tap, mount, umount
from rw import fsck, shown

GETFSLABEL, SETFSLABEL, REINHERIT = 0x81009431, 0x41009432, 0x8008bc40
MIB, MS_REMOUNT = 1 << 20, 32

# Options of 1.13: value, what the file shows then, and the line of show-super, if it is there.
OPTIONS = (
    ('errors', 'ro', 'continue fix_safe panic [ro]', 'errors'),
    ('metadata_replicas', '2', '2', 'metadata_replicas'), ('data_replicas', '2', '2', 'data_replicas'),
    ('metadata_checksum', 'xxhash', 'none crc32c crc64 [xxhash]', 'metadata_checksum'),
    ('data_checksum', 'crc64', 'none crc32c [crc64] xxhash', 'data_checksum'),
    ('compression', 'zstd:5', 'zstd:5', 'compression'),
    ('background_compression', 'gzip', 'gzip', 'background_compression'),
    ('str_hash', 'crc32c', '[crc32c] crc64 siphash', 'str_hash'),
    ('metadata_target', 'none', 'none', None), ('foreground_target', 'none', 'none', None),
    ('erasure_code', '1', '1', 'erasure_code'), ('erasure_code', '0', '0', 'erasure_code'),
    ('inodes_32bit', '0', '0', 'inodes_32bit'),
    ('gc_reserve_percent', '12', '12', 'gc_reserve_percent'), ('gc_reserve_bytes', '1M', '1.00M', 'gc_reserve_bytes'),
    ('wide_macs', '1', '1', 'wide_macs'), ('promote_whole_extents', '0', '0', 'promote_whole_extents'),
    ('journal_flush_delay', '500', '500', 'journal_flush_delay'),
    ('journal_flush_disabled', '1', '1', 'journal_flush_disabled'),
    ('journal_flush_disabled', '0', '0', 'journal_flush_disabled'),
    ('journal_reclaim_delay', '50', '50', 'journal_reclaim_delay'),
    ('journal_transaction_names', '0', '0', 'journal_transaction_names'),
    ('allocator_stuck_timeout', '20', '20', 'allocator_stuck_timeout'), ('nocow', '0', '0', 'nocow'),
    ('inline_data', '0', '0', None), ('verbose', '1', '1', None), ('move_bytes_in_flight', '2M', '2.00M', None),
    ('move_ios_in_flight', '16', '16', None), ('btree_node_prefetch', '0', '0', None))
REFUSED = (
    ('data_replicas', '0', errno.ERANGE), ('data_replicas', '5', errno.ERANGE), ('compression', 'x', errno.EINVAL),
    ('foreground_target', 'nowhere', errno.EINVAL), ('errors', '', errno.EINVAL), ('verbose', '2', errno.EINVAL))


class Mount:
    """An image that is mounted read-write, which the tools' fsck looks at in the end."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        if self.name not in common.images():
            raise Skip(f'no image {self.name}')
        self.loop = Loop(common.unpack(self.name)).__enter__()
        mount(self.loop.source, flags=0)
        self.root, self.wrong = common.MNT, []
        return self

    def __exit__(self, kind, *_):
        umount()
        if kind is None:
            self.wrong += fsck(self.loop.devices)
        self.loop.__exit__()

    def again(self, flags=0):
        umount()
        mount(self.loop.source, flags=flags)

    def expect(self, what, got, want):
        if got != want:
            self.wrong.append(f'{what}: {got!r}, not {want!r}')

    def fails(self, what, number, f, *args):
        try:
            f(*args)
        except OSError as x:
            return self.expect(what, errno.errorcode.get(x.errno), errno.errorcode[number])
        return self.wrong.append(f'{what} works')


def option(name):
    where, = (d for d in os.listdir('/sys/fs/bcachefs') if os.path.isdir(f'/sys/fs/bcachefs/{d}'))
    return f'/sys/fs/bcachefs/{where}/options/{name}'


def read(name):
    with open(option(name)) as f:
        return f.read().strip()


def set_option(name, value):
    with open(option(name), 'w') as f:
        f.write(value + '\n')


def options_at_run_time():
    with Mount('v113-empty') as m:
        for name, value, text, _ in OPTIONS:
            set_option(name, value)
            m.expect(name, read(name), text)
        for name, value, number in REFUSED:
            m.fails(f'{name}={value}', number, set_option, name, value)
        last = {name: (value, text, line) for name, value, text, line in OPTIONS}
        m.again()
        for name, (value, text, line) in last.items():
            if line:
                m.expect(f'{name} after a mount', read(name), text)
        umount()
        for name, (value, text, line) in last.items():
            if line in ('compression', 'data_replicas', 'journal_flush_delay', 'gc_reserve_percent'):
                m.expect(f'{name} for the tools', shown(m.loop.devices[0], '  ' + line), [value])
        mount(m.loop.source)
        m.fails('while it is read-only', errno.EROFS, set_option, 'verbose', '1')
    return m.wrong


def options_by_a_remount():
    def mounted():
        with open('/proc/mounts') as f:
            line = next(x for x in f if f' {common.MNT} ' in x)
        return {o for o in line.split()[3].split(',')} - {'rw', 'ro', 'relatime'}
    with Mount('v113-empty') as m:
        m.expect('in the beginning', (read('errors'), mounted()), ('continue [fix_safe] panic ro', set()))
        mount(m.loop.source, 'errors=ro,verbose,journal_flush_delay=77', flags=MS_REMOUNT)
        m.expect('a remount', (read('errors'), read('journal_flush_delay')), ('continue fix_safe panic [ro]', '77'))
        m.expect('shown', mounted(), {'errors=ro', 'verbose', 'journal_flush_delay=77'})
        mount(m.loop.source, 'noverbose,acl,fsck', flags=MS_REMOUNT)
        m.expect('another one', mounted(), {'errors=ro', 'journal_flush_delay=77'})
        m.fails('one that is not possible', errno.EINVAL, mount, m.loop.source, 'errors=maybe', common.MNT, MS_REMOUNT)
        m.again()
        m.expect('after a mount', (read('errors'), mounted()), ('continue [fix_safe] panic ro', set()))
    return m.wrong


def label():
    with Mount('v113-empty') as m:
        def get():
            fd = os.open(m.root, os.O_RDONLY)
            try:
                return bytes(fcntl.ioctl(fd, GETFSLABEL, bytes(256))).rstrip(b'\0')
            finally:
                os.close(fd)

        def put(text):
            fd = os.open(m.root, os.O_RDONLY)
            try:
                fcntl.ioctl(fd, SETFSLABEL, text.ljust(256, b'\0'))
            finally:
                os.close(fd)
        put(b'x' * 31)
        m.expect('a long one', get(), b'x' * 31)
        m.fails('one that is too long', errno.EINVAL, put, b'x' * 32)
        put(b'something new')
        m.expect('another one', get(), b'something new')
        m.again(1)
        m.expect('after a mount', get(), b'something new')
        m.fails('while it is read-only', errno.EROFS, put, b'no')
        umount()
        m.expect('for the tools', shown(m.loop.devices[0], 'Label'), ['something new'])
        mount(m.loop.source)
    return m.wrong


def taken(root, f):
    """Bytes of all devices that a function takes."""
    os.sync()
    before = os.statvfs(root)
    f()
    os.sync()
    after = os.statvfs(root)
    return (before.f_bfree - after.f_bfree) * after.f_frsize


def write(path, size, byte=b'a'):
    with open(path, 'wb') as f:
        f.write(byte * size)


def options_of_files():
    with Mount('v113-threedev') as m:
        d = f'{m.root}/dir'
        os.mkdir(d)
        plain = taken(m.root, lambda: write(f'{m.root}/plain', 2 * MIB))
        for name, value in (('compression', b'zstd:3'), ('data_checksum', b'xxhash'), ('data_replicas', b'1'),
                            ('foreground_target', b'none'), ('nocow', b'0')):
            os.setxattr(d, 'bcachefs.' + name, value)
            m.expect(name, os.getxattr(d, 'bcachefs.' + name), value)
        m.expect('compressed', taken(m.root, lambda: write(f'{d}/c', 2 * MIB)) < plain // 4, True)
        m.expect('inherited', os.getxattr(f'{d}/c', 'bcachefs_effective.compression'), b'zstd:3')
        m.fails('not its own', errno.ENODATA, os.getxattr, f'{d}/c', 'bcachefs.compression')
        os.removexattr(d, 'bcachefs.compression')
        m.fails('removed', errno.ENODATA, os.getxattr, d, 'bcachefs_effective.compression')
        os.setxattr(d, 'bcachefs.data_replicas', b'2')
        twice = taken(m.root, lambda: write(f'{d}/r', 2 * MIB))
        m.expect('two copies', abs(twice - 2 * plain) < plain // 2, True)
        # Space is reserved for as many copies as there were when the page was changed.
        with open(f'{d}/w', 'wb', 0) as f:
            f.write(b'x' * MIB)
            os.setxattr(f'{d}/w', 'bcachefs.data_replicas', b'1')
            f.write(b'x' * MIB)
            os.setxattr(f'{d}/w', 'bcachefs.data_replicas', b'2')
            os.fsync(f.fileno())
        for name, value, number in (('compression', b'', errno.EINVAL), ('compression', b'lz4\xff', errno.EINVAL),
                                    ('data_replicas', b'0', errno.ERANGE), ('data_replicas', b'9', errno.ERANGE),
                                    ('background_target', b'nowhere', errno.EINVAL),
                                    ('metadata_target', b'none', errno.EINVAL), ('fsck', b'1', errno.EINVAL),
                                    ('casefold', b'1', errno.EOPNOTSUPP)):
            m.fails(f'{name}={value}', number, os.setxattr, d, 'bcachefs.' + name, value)
        os.setxattr(d, 'bcachefs_effective.compression', b'lz4')
        m.fails('what is in effect is not set', errno.ENODATA, os.getxattr, d, 'bcachefs.compression')
        names = {x for x in os.listxattr(d) if x.startswith('bcachefs.')}
        m.again()
        m.expect('listed', {x for x in os.listxattr(d) if x.startswith('bcachefs.')}, names)
        m.expect('kept', os.getxattr(d, 'bcachefs.data_checksum'), b'xxhash')
        with open(f'{d}/c', 'rb') as f:
            m.expect('contents', f.read() == b'a' * 2 * MIB, True)
    return m.wrong


def by_the_tools():
    """`bcachefs set-file-option` sets options of a tree."""
    with Mount('v113-empty') as m:
        d = f'{m.root}/dir'
        os.makedirs(f'{d}/below')
        write(f'{d}/below/file', 4096)
        m.expect('the tools', packaged.tool('set-file-option', '--compression=lz4', d), (0, ''))
        m.expect('set', os.getxattr(d, 'bcachefs.compression'), b'lz4')
        for path in (f'{d}/below', f'{d}/below/file'):
            m.expect(path, os.getxattr(path, 'bcachefs_effective.compression'), b'lz4')
        fd = os.open(d, os.O_RDONLY)
        name = ctypes.create_string_buffer(b'below')
        m.expect('nothing to do', fcntl.ioctl(fd, REINHERIT, ctypes.addressof(name)), 0)
        os.setxattr(d, 'bcachefs.compression', b'gzip')
        m.expect('something to do', fcntl.ioctl(fd, REINHERIT, ctypes.addressof(name)), 1)
        m.expect('done', os.getxattr(f'{d}/below', 'bcachefs_effective.compression'), b'gzip')
        name = ctypes.create_string_buffer(b'nothing')
        m.fails('no such name', errno.ENOENT, fcntl.ioctl, fd, REINHERIT, ctypes.addressof(name))
        m.fails('no name', errno.EFAULT, fcntl.ioctl, fd, REINHERIT, 8)
        os.close(fd)
    return m.wrong


def main():
    tap, log = Tap(), Log()
    tests = options_at_run_time, options_by_a_remount, label, options_of_files, by_the_tools
    tests = [(f.__name__.replace('_', ' '), f) for f in tests]
    tap.check_each(log, tests, 60)
    tap.done()


if __name__ == '__main__':
    main()
