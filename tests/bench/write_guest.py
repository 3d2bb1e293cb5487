#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""The parts of tests/bench/write: makes filesystems and writes to them, in the guest; sees what the
guest takes, outside; reports."""

import ctypes
import mmap
import os
import random
import subprocess
import sys
import threading
import time

import btree_guest
from read_guest import LIBC, MNT, umount

MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
MIB = 1 << 20
SOURCES = "/tmp/sources.tar"
# Of the guest's root.
PYTHON = [f"lib/{name}" for name in os.listdir("/usr/lib") if name.startswith("python3.")]
PIECE = random.Random(1).randbytes(MIB)


def mount(kind):
    disk = os.environ["DISK0"]
    if kind in MAKE:
        subprocess.run(MAKE[kind] + [disk], check=True)
    os.makedirs(MNT, exist_ok=True)
    if LIBC.mount(disk.encode(), MNT.encode(), kind.encode(), 0, b""):
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err), "mount")


def opened(name, flags=0):
    return os.open(f"{MNT}/{name}", os.O_RDWR | os.O_CREAT | flags, 0o644)


def opened_dir(name):
    os.mkdir(f"{MNT}/{name}")
    return f"{MNT}/{name}"


def sequential():
    """256 MiB, a MiB at a time."""
    fd = opened("sequential")
    for _ in range(256):
        os.write(fd, PIECE)
    os.fsync(fd)
    os.close(fd)


def random_blocks():
    """8192 blocks somewhere in the 256 MiB."""
    rand = random.Random(2)
    fd = opened("sequential")
    for _ in range(8192):
        os.pwrite(fd, PIECE[:4096], rand.randrange(65536) << 12)
    os.fsync(fd)
    os.close(fd)


def direct(size, nr):
    memory = mmap.mmap(-1, size)
    memory.write(PIECE[:size])
    fd = opened(f"direct-{size}", os.O_DIRECT)
    for i in range(nr):
        os.pwrite(fd, memory, i * size)
    os.fsync(fd)
    os.close(fd)


def direct_random():
    memory = mmap.mmap(-1, 4096)
    memory.write(PIECE[:4096])
    rand = random.Random(3)
    fd = opened(f"direct-{MIB}", os.O_DIRECT)
    for _ in range(4096):
        os.pwrite(fd, memory, rand.randrange(32768) << 12)
    os.fsync(fd)
    os.close(fd)


def create():
    os.mkdir(f"{MNT}/many")
    for i in range(50000):
        os.close(os.open(f"{MNT}/many/{i}", os.O_CREAT | os.O_WRONLY, 0o644))
    os.sync()


def small():
    for d in range(200):
        os.makedirs(f"{MNT}/tree/{d}")
        for i in range(100):
            fd = os.open(f"{MNT}/tree/{d}/{i}", os.O_CREAT | os.O_WRONLY, 0o644)
            os.write(fd, PIECE[:4096])
            os.close(fd)
    os.sync()


def untar():
    subprocess.run(["tar", "-xf", SOURCES, "-C", opened_dir("sources")], check=True)
    os.sync()


def remove(path):
    with os.scandir(path) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(path)


def remove_all():
    remove(f"{MNT}/tree")
    remove(f"{MNT}/many")
    os.sync()


def remove_large():
    os.unlink(f"{MNT}/sequential")
    os.sync()


def append():
    fd = opened("log")
    for _ in range(500):
        os.write(fd, PIECE[:4096])
        os.fsync(fd)
    os.close(fd)


def job(nr):
    rand = random.Random(nr)
    top = f"{MNT}/job-{nr}"
    os.mkdir(top)
    for i in range(200):
        fd = os.open(f"{top}/{i}", os.O_CREAT | os.O_RDWR, 0o644)
        os.write(fd, PIECE[: rand.choice([3000, 4096, 20000, 100000])])
        if i % 20 == 0:
            os.fsync(fd)
        os.pwrite(fd, PIECE[:5000], rand.randrange(20000))
        os.pread(fd, 5000, 0)
        os.close(fd)
        if i % 4 == 0:
            os.unlink(f"{top}/{i}")


def mixed():
    jobs = [threading.Thread(target=job, args=(i,)) for i in range(8)]
    for j in jobs:
        j.start()
    for j in jobs:
        j.join()
    os.sync()


LINES = [
    ("sequential: 256 MiB", sequential),
    ("overwrite: 256 MiB again", sequential),
    ("random: 8192 times 4 KiB", random_blocks),
    ("direct: 128 times 1 MiB", lambda: direct(MIB, 128)),
    ("direct: 4096 times 4 KiB", lambda: direct(4096, 4096)),
    ("direct: 4096 times 4 KiB at random", direct_random),
    ("create: 50000 in a directory", create),
    ("small: 20000 of 4 KiB in 200 directories", small),
    ("untar: headers and a library", untar),
    ("remove: 70000 files, 201 directories", remove_all),
    ("remove: the file with random writes", remove_large),
    ("fsync: 500 of 4 KiB appended", append),
    ("mixed: 8 threads, 1600 files", mixed),
]
# What a line needs of others.
NEEDS = {"random": "sequential", "overwrite": "sequential", "remove": "create small sequential"}


def written_bytes():
    """What was written to the device."""
    name = os.path.basename(os.path.realpath(os.environ["DISK0"]))
    with open(f"/sys/class/block/{name}/stat", encoding="ascii") as f:
        return int(f.read().split()[6]) * 512


def measure(kind, words):
    subprocess.run(["tar", "-cf", SOURCES, "-C", "/usr", "include", *PYTHON], check=True)
    mount(kind)
    chosen = [(name, line) for name, line in LINES if not words or any(w in name for w in words)]
    needed = " ".join(NEEDS.get(name.split(":")[0], "") for name, _ in chosen).split()
    for name, line in LINES:
        if (name, line) not in chosen and name.split(":")[0] not in needed:
            continue
        os.sync()
        print("begin", flush=True)
        time.sleep(btree_guest.PAUSE)
        before, had = time.monotonic(), written_bytes()
        line()
        seconds, wrote = time.monotonic() - before, written_bytes() - had
        print("end", flush=True)
        time.sleep(btree_guest.PAUSE)
        if (name, line) in chosen:
            print(f"{seconds:.6f} {wrote / MIB:.3f} {name}", flush=True)
    before, had = time.monotonic(), written_bytes()
    umount()
    seconds, wrote = time.monotonic() - before, written_bytes() - had
    if not words:
        print(f"umount {seconds:.6f} {wrote / MIB:.3f} umount", flush=True)


def watch(*command):
    """Runs a guest that measures; prints its results with processor time in them."""
    begin = took = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as guest:
        for line in guest.stdout:
            word, *rest = line.rstrip("\n").split(" ", 1)
            if word == "begin":
                begin = btree_guest.processor_ns(guest.pid)
            elif word == "end":
                took = btree_guest.processor_ns(guest.pid) - begin
            elif word == "umount":
                print(f"0 {rest[0]}", flush=True)
            else:
                print(f"{took / 1e9:.6f} {word} {rest[0]}", flush=True)
    return guest.returncode


def report(path, limit, kinds):
    cpu, clock, disk = {}, {}, {}
    with open(path, encoding="ascii") as f:
        for line in f:
            kind, took, seconds, wrote, name = line.rstrip("\n").split(" ", 4)
            for found, value in (cpu, took), (clock, seconds), (disk, wrote):
                found.setdefault(name, {}).setdefault(kind, []).append(float(value))
    failed = not cpu
    for what, found in (
        ("seconds by the clock", clock),
        ("seconds on the processor", cpu),
        ("MiB written to the device", disk),
    ):
        print(f"{what:42}" + "".join(f"{k:>16}" for k in kinds) + f"{'ratio':>8}")
        for name, by_kind in found.items():
            least = [min(by_kind.get(k, [float("nan")])) for k in kinds]
            if not any(least):
                continue
            ratio = least[0] / least[1] if len(least) > 1 and least[1] else float("nan")
            print(f"{name:42}" + "".join(f"{x:16.3f}" for x in least) + f"{ratio:8.2f}")
            failed |= bool(limit) and ratio > limit and found is cpu
        print()
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        measure(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "watch":
        sys.exit(watch(*sys.argv[2:]))
    else:
        sys.exit(report(sys.argv[2], float(sys.argv[3]), sys.argv[4:]))
