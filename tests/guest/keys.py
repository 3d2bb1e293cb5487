# SPDX-License-Identifier: GPL-2.0
"""Keys of encrypted filesystems: what `bcachefs unlock` does, without it. It refuses superblocks that
are newer than itself."""
import functools
import hashlib
import struct
import subprocess
import uuid

SB, SB_SECTIONS, SECTION_CRYPT = 4096, 4096 + 752, 2


class Superblock:
    """The fields of a device's superblock that matter for its key."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            sb = f.read(1 << 20)
        self.description = f'bcachefs:{uuid.UUID(bytes=sb[SB + 56:SB + 72])}'
        at = SB_SECTIONS
        while True:
            u64s, kind = struct.unpack_from('<II', sb, at)
            if kind == SECTION_CRYPT:
                break
            if not u64s:
                raise ValueError(f'{path} is not encrypted')
            at += u64s * 8
        flags, kdf = struct.unpack_from('<QQ', sb, at + 8)
        self.scrypt = tuple(1 << (kdf >> shift & 0xffff) for shift in (0, 16, 32))


@functools.lru_cache
def derive(passphrase, scrypt):
    n, r, p = scrypt
    return hashlib.scrypt(passphrase.encode(), salt=b'bcache\0', n=n, r=r, p=p, dklen=32, maxmem=1 << 28)


def keyctl(*args, data=b''):
    return subprocess.run(['keyctl', *args], input=data, check=True, capture_output=True).stdout.decode().strip()


def add(description, data):
    """Puts a key where `bcachefs unlock` does; returns its number. The user's keyring is not searched
    unless it is linked to that of the session."""
    keyctl('link', '@u', '@us')
    return keyctl('padd', 'user', description, '@u', data=data)


def unlock(path, passphrase):
    """Puts the key of the filesystem on `path` into the user's keyring."""
    sb = Superblock(path)
    return add(sb.description, derive(passphrase, sb.scrypt))


def lock():
    """Takes all keys out of the user's keyring."""
    keyctl('clear', '@u')
