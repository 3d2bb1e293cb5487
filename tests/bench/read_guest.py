#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""The part of tests/bench/read that runs in the guest: makes the image, measures, reports."""

import ctypes
import os
import random
import statistics
import subprocess
import sys
import time

import memory

MNT = "/mnt/bench"
MS_RDONLY = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(flags, disk="DISK0"):
    os.makedirs(MNT, exist_ok=True)
    disk = os.environ[disk].encode()
    if LIBC.mount(disk, MNT.encode(), b"bcachefs", flags, b""):
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err), "mount")


def umount():
    if LIBC.umount2(MNT.encode(), 0):
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err), "umount")


def text(rand, nr):
    """`nr` MiB of words that compress to about a third."""
    words = [bytes(rand.choices(b"etaoinshrdlu", k=rand.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (i + 5) for i in range(len(words))]
    pieces = [b" ".join(rand.choices(words, weights, k=4000))[:16384] for _ in range(400)]
    for _ in range(nr):
        yield b"".join(rand.choices(pieces, k=70))[: 1 << 20].ljust(1 << 20, b" ")


def fill():
    """A file of 512 MiB, the same without checksums, one of 64 MiB in extents of 4 KiB, two
    compressed ones of 256 MiB, and 20000 small files."""
    rand = random.Random(1)
    mount(0)
    with open(f"{MNT}/large", "wb") as f:
        for _ in range(512):
            f.write(rand.randbytes(1 << 20))
    with open(f"{MNT}/plain", "wb") as f:
        os.setxattr(f.name, "bcachefs.data_checksum", b"none")
        for _ in range(512):
            f.write(rand.randbytes(1 << 20))
    for name in ("zstd", "lz4"):
        with open(f"{MNT}/{name}", "wb") as f:
            os.setxattr(f.name, "bcachefs.compression", name.encode())
            for piece in text(rand, 256):
                f.write(piece)
    with open(f"{MNT}/pieces", "wb") as f:
        f.truncate(64 << 20)
        order = list(range(64 << 8))
        rand.shuffle(order)
        for i in order:
            os.pwrite(f.fileno(), rand.randbytes(4096), i << 12)
    for d in range(200):
        os.makedirs(f"{MNT}/tree/{d:03}")
        for i in range(100):
            with open(f"{MNT}/tree/{d:03}/file-{i:03}", "wb") as f:
                f.write(rand.randbytes(rand.choice([100, 3000, 20000])))
    os.sync()
    umount()


def fill_encrypted():
    """A file of 128 MiB."""
    rand = random.Random(3)
    mount(0)
    with open(f"{MNT}/large", "wb") as f:
        for _ in range(128):
            f.write(rand.randbytes(1 << 20))
    os.sync()
    umount()


def read(path, limit=1 << 62):
    buf = bytearray(1 << 20)
    fd = os.open(path, os.O_RDONLY)
    total = 0
    while total < limit and (n := os.readv(fd, [buf])):
        total += n
    os.close(fd)
    return total


def read_random(path, nr):
    rand = random.Random(2)
    fd = os.open(path, os.O_RDONLY)
    blocks = os.fstat(fd).st_size >> 12
    for _ in range(nr):
        assert len(os.pread(fd, 4096, rand.randrange(blocks) << 12)) == 4096
    os.close(fd)


def walk():
    out = subprocess.run(
        ["find", MNT, "-printf", "%s\n"], check=True, capture_output=True
    ).stdout
    assert out.count(b"\n") > 20000


STEPS = [
    ("read 512 MiB of the device", lambda: read(os.environ["DISK0"], 512 << 20)),
    ("walk: find with stat, 20000 files", walk),
    ("read 512 MiB", lambda: read(f"{MNT}/large")),
    ("read 512 MiB without checksums", lambda: read(f"{MNT}/plain")),
    ("read 64 MiB of 4 KiB extents", lambda: read(f"{MNT}/pieces")),
    ("2000 reads of 4 KiB at random", lambda: read_random(f"{MNT}/large", 2000)),
    ("read 256 MiB, zstd", lambda: read(f"{MNT}/zstd")),
    ("read 256 MiB, lz4", lambda: read(f"{MNT}/lz4")),
    ("2000 reads of 4 KiB at random, zstd", lambda: read_random(f"{MNT}/zstd", 2000)),
    ("2000 reads of 4 KiB at random, lz4", lambda: read_random(f"{MNT}/lz4", 2000)),
]


# What an encrypted filesystem is good for.
STEPS_ENCRYPTED = [
    ("read 128 MiB, encrypted", lambda: read(f"{MNT}/large")),
    ("2000 reads of 4 KiB at random, encrypted", lambda: read_random(f"{MNT}/large", 2000)),
]


def timed(name, step):
    start = time.monotonic()
    step()
    print(f"{time.monotonic() - start:.6f} s {name}", flush=True)


def measure(rounds):
    for _ in range(rounds):
        for name, step in [("mount", None)] + STEPS:
            memory.drop_caches()
            start = time.monotonic()
            mount(MS_RDONLY)
            if step:
                timed(name, step)
            else:
                print(f"{time.monotonic() - start:.6f} s {name}", flush=True)
            umount()
        measure_warm()
        measure_encrypted()


def measure_warm():
    """The walk again with everything in memory, and how much memory that is. Pages of devices and
    files do not count."""
    memory.drop_caches()
    before, slab = memory.used(), memory.slab()
    mount(MS_RDONLY)
    walk()
    print(f"{(memory.used() - before) / 1024:.6f} MiB memory after the walk", flush=True)
    print(f"{(memory.slab() - slab) / 1024:.6f} MiB slabs after the walk", flush=True)
    timed("the same walk again", walk)
    umount()


def measure_encrypted():
    for name, step in STEPS_ENCRYPTED:
        memory.drop_caches()
        try:
            mount(MS_RDONLY, "DISK1")
        except OSError as err:
            print(f"# {name}: {err}", flush=True)
            continue
        timed(name, step)
        umount()


def report(path, limit, kinds):
    times, units, refused = {}, {}, set()
    with open(path) as f:
        for line in f:
            kind, value, unit, name = line.rstrip("\n").split(" ", 3)
            if value == "#":
                refused.add(f"{kind}: {unit} {name}")
                continue
            scale, units[name] = (1e3, "ms") if unit == "s" else (1, unit)
            times.setdefault(name, {}).setdefault(kind, []).append(float(value) * scale)
    failed = False
    print(f"{'':42}{'this':>13}{'C 6.12':>13}{'ratio':>8}   min-max ratio")
    for name, by_kind in times.items():
        ours, theirs = (by_kind.get(k, []) for k in kinds)
        if not ours or not theirs:
            print(f"{name:42} incomplete")
            failed = True
            continue
        a, b = statistics.median(ours), statistics.median(theirs)
        # Less memory than can be told from none.
        low, high = max(min(theirs), 0.1), max(max(theirs), 0.1)
        b = max(b, 0.1) if units[name] == "MiB" else b
        spread = f"{min(ours) / high:.2f}-{max(ours) / low:.2f}"
        print(f"{name:42}{a:9.2f} {units[name]:3}{b:9.2f} {units[name]:3}{a / b:8.2f}   {spread}")
        failed |= bool(limit) and a / b > limit
    for line in sorted(refused):
        print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill()
    elif sys.argv[1] == "fill-encrypted":
        fill_encrypted()
    elif sys.argv[1] == "measure":
        measure(int(sys.argv[2]))
    else:
        sys.exit(report(sys.argv[2], float(sys.argv[3]), sys.argv[4:6]))
