#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
# guest: uml 240
# guest: stock? 240
"""Names without case, attributes, quotas, subvolumes, and what mount options do.

What there is to test depends on the images; without one a test is skipped.
"""
import ctypes
import errno
import fcntl
import os
import re
import struct

import common
from common import Log, Loop, Mounted, Skip, Tap, libc, mount, own, umount

tap, log = Tap(), Log()
FS_IOC_GETFLAGS, FS_CASEFOLD_FL = 0x80086601, 0x40000000
SYS_statx, SYS_quotactl, SYS_quotactl_fd = 332, 179, 443


def image(name):
    if name not in common.images():
        raise Skip(f'no image {name}')
    return Loop(common.unpack(name))


def ino(path):
    """The inode number of what is at the path, or the errno."""
    try:
        return os.lstat(path).st_ino
    except OSError as x:
        return errno.errorcode[x.errno]


def casefold():
    with image('v139-casefold') as dev, Mounted(dev.source) as root:
        wrong, cf = [], root + '/cf/'
        same = (('FILE2', 'file2', 'fIlE2', 'FILE\u00ad2'),
                ('mixedCase.TXT', 'MIXEDCASE.txt'),
                ('Stra\u00dfe', 'STRASSE', 'strasse'),
                ('\u00c0\u00c9\u00ce', '\u00e0\u00e9\u00ee', 'A\u0300e\u0301I\u0302', '\u00c0e\u0301\u00ce'),
                ('\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3', '\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2'),
                ('\u0130stanbul', 'i\u0307STANBUL'),
                ('\ufb01-ligature', 'FI-LIGATURE'),
                ('SubDir', 'subdir', 'SUBDIR'))
        # Twice: the second time names come from the dentry cache.
        for turn in ('first', 'second'):
            for listed, *others in same:
                want = ino(cf + listed)
                if not isinstance(want, int):
                    wrong.append(f'{listed}: {want}')
                wrong += [f'{other!r}, {turn} time: {ino(cf + other)}, not {want} as {listed!r}'
                          for other in others if ino(cf + other) != want]
            absent = [x.encode() for x in ('istanbul', 'file', 'FILE22', '\u00ad')]
            # No UTF-8, or too long when folded.
            absent += [b'FILE2\xff', b'\xc3', '\u0390'.encode() * 110]
            wrong += [f'{x!r}, {turn} time: {ino(os.fsencode(cf) + x)}'
                      for x in absent if ino(os.fsencode(cf) + x) != 'ENOENT']
        if ino(cf + 'x' * 513) != 'ENAMETOOLONG':
            wrong.append(f'a name of 513 bytes: {ino(cf + "x" * 513)}')
        # Inherited, and an absent name does not stay in the way of one that is there.
        if not isinstance(ino(cf + 'SUBDIR/iNNER'), int):
            wrong.append(f'SUBDIR/iNNER: {ino(cf + "SUBDIR/iNNER")}')
        names = set(os.listdir(cf))
        if not {'FILE2', 'UPPER', 'mixedCase.TXT', 'SubDir'} <= names or 'file2' in names:
            wrong.append(f'listed: {sorted(names)}')
        if ino(root + '/plain/a') == ino(root + '/plain/A') or ino(root + '/CF') != 'ENOENT':
            wrong.append('names without case where they should count')
        for d, want in (('cf', True), ('cf/SubDir', True), ('plain', False)):
            fd = os.open(f'{root}/{d}', os.O_RDONLY)
            flags, = struct.unpack('l', fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))
            os.close(fd)
            if bool(flags & FS_CASEFOLD_FL) != want:
                wrong.append(f'{d}: flags {flags:#x}')
        return wrong


def casefold_off():
    with image('v139-casefold') as dev:
        try:
            mount(dev.source, 'casefold_disabled')
        except OSError as x:
            said = own(log.take())
            right = x.errno == errno.EOPNOTSUPP and any('casefold_disabled' in s for s in said)
            return [] if right else [str(x)] + said
        umount()
        return 'mounted with casefold_disabled'


def statx(path):
    """Inode number and subvolume."""
    buf = ctypes.create_string_buffer(256)
    # STATX_INO and STATX_SUBVOL
    if libc.syscall(SYS_statx, -100, os.fsencode(path), 0x100, 0x8100, buf):
        raise OSError(ctypes.get_errno(), 'statx')
    mask, = struct.unpack_from('I', buf, 0)
    inum, = struct.unpack_from('Q', buf, 0x20)
    subvol, = struct.unpack_from('Q', buf, 0xa0)
    return inum, subvol if mask & 0x8000 else None


def subvolumes(name):
    with image(name) as dev, Mounted(dev.source) as root:
        wrong = []
        top = ('.', 'sv', 'sv2', 'snap-rw', 'snap-ro', 'snap-of-snap', 'sv2snap')
        ids = {p: statx(f'{root}/{p}') for p in top}
        nested = statx(f'{root}/sv/nested')
        # A snapshot's files have the numbers of those they were made from, so it is the subvolume
        # that tells them apart.
        if len({s for _, s in ids.values()} | {nested[1]}) != len(top) + 1:
            wrong.append(f'not all in a subvolume of their own: {ids}, {nested}')
        if len({ids[p][0] for p in ('sv', 'snap-rw', 'snap-ro', 'snap-of-snap')}) != 1:
            wrong.append(f'roots of snapshots with other numbers: {ids}')
        if ids['.'][1] != 1:
            wrong.append(f'the root is in subvolume {ids["."][1]}')
        for p, parent in [(f'{p}/..', '.') for p in top[1:]] + [('sv/nested/..', 'sv'), ('plain/..', '.')]:
            if statx(f'{root}/{p}') != ids[parent]:
                wrong.append(f'{p} is {statx(f"{root}/{p}")}, not {ids[parent]}')
        # The entry of a subvolume within one is not seen in snapshots of the one around it.
        seen = [p for p in ('snap-rw', 'snap-ro', 'snap-of-snap') if 'nested' in os.listdir(f'{root}/{p}')]
        if seen or 'nested' not in os.listdir(root + '/sv'):
            wrong.append(f'nested is seen in {seen}, and in sv: {os.listdir(root + "/sv")}')
        for p in ('gone', 'plain/to-delete'):
            if ino(f'{root}/{p}') != 'ENOENT':
                wrong.append(f'{p} is still there')
        if len({os.stat(f'{root}/{p}').st_dev for p in top}) != 1:
            wrong.append('subvolumes with device numbers of their own')
        for p in ('snap-ro', 'sv'):
            try:
                os.mkdir(f'{root}/{p}/new')
                wrong.append(f'mkdir in {p} works')
            except OSError as x:
                if x.errno != errno.EROFS:
                    wrong.append(f'mkdir in {p}: {x}')
        return wrong


def xattrs():
    with image('v139-tree') as dev, Mounted(dev.source) as root:
        wrong, path = [], os.fsencode(root + '/xattr')
        value = os.getxattr(path, 'user.ondir')
        buf = ctypes.create_string_buffer(len(value))

        def get(name, size, p=path):
            n = libc.getxattr(p, name.encode(), buf if size else None, size)
            return n if n >= 0 else errno.errorcode[ctypes.get_errno()]

        for name, size, want in (('user.ondir', 0, len(value)), ('user.ondir', len(value), len(value)),
                                 ('user.ondir', len(value) - 1, 'ERANGE'), ('user.ondir', 1, 'ERANGE'),
                                 ('user.absent', 0, 'ENODATA'), ('trusted.absent', 0, 'ENODATA'),
                                 ('bcachefs.compression', 0, 'ENODATA'), ('bcachefs.nonsense', 0, 'EINVAL'),
                                 ('bcachefs_effective.project', 0, 'ENODATA'),
                                 ('bcachefs.fsck', 0, 'EINVAL'), ('nowhere.x', 0, errno.errorcode[errno.EOPNOTSUPP])):
            if get(name, size) != want:
                wrong.append(f'{name} into {size} bytes: {get(name, size)}, not {want}')
        names = b'\0'.join(os.fsencode(n) for n in os.listxattr(path)) + b'\0'
        room = ctypes.create_string_buffer(len(names))
        for size, want in ((0, len(names)), (len(names), len(names)), (len(names) - 1, -1)):
            got = libc.listxattr(path, room if size else None, size)
            if got != want or got < 0 and ctypes.get_errno() != errno.ERANGE:
                wrong.append(f'a list into {size} bytes: {got}, not {want}')
        with_trusted = root + '/xattr/ln'
        if 'trusted.onlink' not in os.listxattr(with_trusted, follow_symlinks=False):
            wrong.append('root does not see trusted.onlink')
        # Others see neither the name nor the value.
        pid = os.fork()
        if not pid:
            os.setgid(65534)
            os.setuid(65534)
            hidden = not any(n.startswith('trusted.') for n in os.listxattr(with_trusted, follow_symlinks=False))
            try:
                os.getxattr(with_trusted, 'trusted.onlink', follow_symlinks=False)
                hidden = False
            except OSError as x:
                hidden = hidden and x.errno == errno.ENODATA
            os._exit(not hidden)
        if os.waitpid(pid, 0)[1]:
            wrong.append('trusted.onlink is shown to everyone')
        with open('/proc/mounts') as f:
            if any(f' {common.MNT} ' in line and 'noacl' in line for line in f):
                wrong.append('noacl without having been asked for')
        return wrong


def no_acl():
    """Without ACLs their attributes are not listed."""
    with image('v139-tree') as dev, Mounted(dev.source, 'noacl') as root:
        names = os.listxattr(root + '/acl/d')
        return [f'listed: {names}'] if any('acl' in n for n in names) else []


def qcmd(cmd, kind):
    return (cmd << 8) | kind


Q_GETINFO, Q_SETINFO, Q_GETQUOTA, Q_SETQUOTA, Q_GETNEXTQUOTA = 0x800005, 0x800006, 0x800007, 0x800008, 0x800009
Q_XGETQSTAT, Q_XGETQUOTA, Q_XGETNEXTQUOTA = 0x5805, 0x5803, 0x5809


class Quota:
    """quotactl on a mount: by the path, or by a device. By the path, the kernel takes Q_GETQUOTA for
    a change, which a read-only mount does not allow; there is the same as XFS has it."""

    def __init__(self, root, device=None):
        self.root, self.device, self.fd = root, device, -1

    def __enter__(self):
        self.fd = os.open(self.root, os.O_RDONLY)
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def call(self, cmd, kind, qid, size):
        buf = ctypes.create_string_buffer(size)
        if self.device:
            ret = libc.syscall(SYS_quotactl, qcmd(cmd, kind), os.fsencode(self.device), qid, buf)
        else:
            ret = libc.syscall(SYS_quotactl_fd, self.fd, qcmd(cmd, kind), qid, buf)
        return errno.errorcode[ctypes.get_errno()] if ret else buf.raw

    def numbers(self, kind, qid, following=False):
        """The id; space in KiB: hard, soft; space in bytes; inodes: hard, soft, used."""
        if self.device:
            got = self.call(Q_GETNEXTQUOTA if following else Q_GETQUOTA, kind, qid, 72)
            if isinstance(got, str):
                return got
            found = struct.unpack_from('I', got, 68)[0] if following else qid
            return found, *struct.unpack_from('6Q', got)
        got = self.call(Q_XGETNEXTQUOTA if following else Q_XGETQUOTA, kind, qid, 112)
        if isinstance(got, str):
            return got
        found, hard, soft, ihard, isoft, space, inodes = struct.unpack_from('=4xI6Q', got)
        return found, hard // 2, soft // 2, space * 512, ihard, isoft, inodes

    def all(self, kind):
        """Space in bytes and inodes in use, by id."""
        every, qid = {}, 0
        while not isinstance(got := self.numbers(kind, qid, True), str):
            every[got[0]] = (got[3], got[6])
            qid = got[0] + 1
        return every if got == 'ENOENT' else got


def taken(man, owner):
    found = {}
    for e in man['entries']:
        space, inodes = found.get(e[owner], (0, 0))
        found[e[owner]] = (space + e['blocks'] * 512, inodes + 1)
    return found


def quota_is_as_c_shows(man, quota):
    wrong = []
    for kind, owner in ((0, 'uid'), (1, 'gid')):
        if quota.all(kind) != taken(man, owner):
            wrong.append(f'{owner}: {quota.all(kind)}, not {taken(man, owner)}')
    projects = quota.all(2)
    if [n for _, n in projects.values()] != [len(man['entries'])]:
        wrong.append(f'projects: {projects}')
    for note in man['notes']:
        numbers = re.fullmatch(r'quota type (\d+) id (\d+): bhard (\d+) bsoft (\d+) .*space (\d+) '
                               r'ihard (\d+) isoft (\d+) inodes (\d+)', note)
        if numbers:
            kind, qid, *want = map(int, numbers.groups())
            if quota.numbers(kind, qid) != (qid, *want):
                wrong.append(f'{note}: {quota.numbers(kind, qid)}')
    if quota.numbers(0, 4321) not in ((4321,) + (0,) * 6, 'ENOENT'):
        wrong.append(f'an id without anything: {quota.numbers(0, 4321)}')
    info = quota.call(Q_GETINFO, 0, 0, 24)
    if isinstance(info, str) or struct.unpack('QQ', info[:16]) != (604800, 604800):
        wrong.append(f'grace times: {info!r}')
    state = quota.call(Q_XGETQSTAT, 0, 0, 80)
    # Usage of users, groups and projects is counted; nothing is enforced.
    if isinstance(state, str) or struct.unpack_from('H', state, 2)[0] != 0x15:
        wrong.append(f'state: {state!r}')
    for what, got in (('limits', quota.call(Q_SETQUOTA, 0, 1000, 72)),
                      ('grace times', quota.call(Q_SETINFO, 0, 0, 24))):
        if got != 'EROFS':
            wrong.append(f'{what} can be set: {got!r}')
    return wrong


def quotas(name):
    with image(name) as dev, Mounted(dev.source) as root:
        man, wrong = common.manifest(name), []
        for how, device in (('by path', None), ('by device', dev.source)):
            with Quota(root, device) as quota:
                wrong += [f'{how}: {x}' for x in quota_is_as_c_shows(man, quota)]
        return wrong


def no_quotas():
    """Not turned on: there is nothing to show."""
    with image('v139-tree') as dev, Mounted(dev.source) as root, Quota(root, dev.source) as quota:
        got = quota.call(Q_GETINFO, 0, 0, 24), quota.all(0), quota.numbers(0, 0)
        return [] if got == ('ESRCH', {}, (0,) * 7) else [str(got)]


# Options, and what /proc/mounts shows of them; or the errno and what the message has to name.
OPTIONS = (
    ('', ''), ('norecovery', 'norecovery'), ('nochanges', 'nochanges'), ('noexcl', 'noexcl'),
    ('verbose', 'verbose'), ('degraded', 'degraded=yes'), ('degraded=very', 'degraded=very'),
    ('very_degraded', 'degraded=very'), ('no_splitbrain_check', 'no_splitbrain_check'),
    ('errors=ro', 'errors=ro'), ('errors=continue', 'errors=continue'), ('errors=fix_safe', ''),
    ('fix_errors', 'fix_errors=yes'), ('fix_errors=no', 'fix_errors=no'), ('nofsck', ''), ('fsck=0', ''),
    ('noacl', 'noacl'), ('acl', ''), ('usrquota,grpquota', 'usrquota,grpquota'),
    ('casefold_disabled', 'casefold_disabled'),
    ('recovery_passes_exclude=check_inodes', 'recovery_passes_exclude=check_inodes'),
    ('recovery_pass_last=snapshots_read', 'recovery_pass_last=snapshots_read'),
    ('version_upgrade=none', 'version_upgrade=none'), ('noratelimit_errors', 'noratelimit_errors'),
    ('nodirect_io', 'nodirect_io'), ('nomount_trusts_udev', 'nomount_trusts_udev'), ('read_only', ''),
    ('str_hash=crc64', 'str_hash=crc64'), ('data_replicas=2', ''), ('compression=zstd:3', ''),
    ('shard_inode_numbers', ''),
    # What these three ask for is to be written, which this version of the format is not yet.
    ('fsck', (errno.EROFS, 'read-write')), ('fsck,nochanges', (errno.EOPNOTSUPP, 'option fsck')),
    ('recovery_passes=check_inodes', (errno.EROFS, 'read-write')),
    ('journal_rewind=5', (errno.EOPNOTSUPP, 'option journal_rewind')),
    ('reconstruct_alloc', (errno.EROFS, 'read-write')),
    ('no_data_io', (errno.EOPNOTSUPP, 'option no_data_io')),
    ('block_size=4096', (errno.EINVAL, 'block_size')), ('btree_node_size=65536', (errno.EINVAL, 'btree_node_size')),
    ('label=x', (errno.EINVAL, 'label')), ('durability=1', (errno.EINVAL, 'durability')),
    ('nostart', (errno.EINVAL, 'nostart')), ('read_journal_only', (errno.EINVAL, 'read_journal_only')),
    ('casefold', (errno.EINVAL, 'casefold')), ('project', (errno.EINVAL, 'project')),
)


def shown():
    """The options of the mount that are this filesystem's."""
    with open('/proc/mounts') as f:
        line = next(x for x in f if f' {common.MNT} ' in x)
    return ','.join(o for o in line.split()[3].split(',') if o not in ('ro', 'rw', 'relatime'))


def options():
    with image('v139-tree') as dev:
        wrong = []
        for given, want in OPTIONS:
            log.take()
            try:
                mount(dev.source, given)
            except OSError as x:
                said = own(log.take())
                if isinstance(want, str) or x.errno != want[0] or not any(want[1] in s for s in said):
                    wrong += [f'{given}: {x}', *said]
                continue
            got = shown()
            umount()
            if got != want:
                wrong.append(f'{given}: /proc/mounts shows {got!r}, not {want!r}')
        return wrong


def forced_read_only():
    """These make a mount read-only that was not asked to be."""
    with image('v139-tree') as dev:
        wrong = []
        for given in ('norecovery', 'nochanges', 'verbose'):
            try:
                mount(dev.source, given, flags=0)
            except OSError as x:
                if given != 'verbose' or x.errno != errno.EROFS:
                    wrong.append(f'{given}: {x}')
                continue
            try:
                os.mkdir(common.MNT + '/new')
                wrong.append(f'{given}: can be written to')
            except OSError as x:
                if x.errno != errno.EROFS:
                    wrong.append(f'{given}: mkdir: {x}')
            umount()
        return wrong


def main():
    tap.check_each(log, (
        ('names are found whatever their case', casefold),
        ('casefolding that is in use can not be turned off', casefold_off),
        ('subvolumes and snapshots, 1.13', subvolumes, 'v113-snap'),
        ('subvolumes and snapshots, 1.39', subvolumes, 'v139-snap'),
        ('extended attributes', xattrs),
        ('no access control lists', no_acl),
        ('quotas, 1.13', quotas, 'v113-quota'),
        ('quotas, 1.39', quotas, 'v139-quota'),
        ('no quotas', no_quotas),
        ('mount options', options),
        ('options that make a mount read-only', forced_read_only)), 100)
    tap.done()


if __name__ == '__main__':
    main()
