#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""The part of tests/bench/scale that makes the tree, measures in the guest, and reports."""

import os
import statistics
import sys
import time

import memory
from read_guest import MNT, MS_RDONLY, mount, umount

PER_DIRECTORY = 1000
GROWTH_KIB = 16 << 10


def tree(top, nr):
    """`nr` files, 1000 to a directory; each fourth has data."""
    for i in range(nr):
        d = f"{top}/{i // PER_DIRECTORY:04}"
        if i % PER_DIRECTORY == 0:
            os.makedirs(d)
        fd = os.open(f"{d}/{i % PER_DIRECTORY:03}", os.O_CREAT | os.O_WRONLY, 0o644)
        if i % 4 == 0:
            os.write(fd, b"%d\n" % i)
        os.close(fd)


def measure(rounds):
    for _ in range(rounds):
        memory.drop_caches()
        before = memory.used()
        start = time.monotonic()
        mount(MS_RDONLY)
        mounted = time.monotonic()
        kib = memory.used() - before
        at = time.monotonic()
        files = os.statvfs(MNT).f_files
        dirs = sorted(x for x in os.listdir(MNT) if x.isdigit())
        with open(f"{MNT}/{dirs[-1]}/000") as f:
            assert int(f.read()) == int(dirs[-1]) * PER_DIRECTORY
        first = time.monotonic() - at
        at = time.monotonic()
        umount()
        print(f"{mounted - start:.6f} {kib} {first:.6f} {time.monotonic() - at:.6f} {files}", flush=True)


def report(path, max_ms):
    runs = {}
    with open(path) as f:
        for line in f:
            kind, inodes, *numbers = line.split()
            runs.setdefault((kind, int(inodes)), []).append([float(x) for x in numbers])
    print(f"{'kernel':8}{'inodes':>9}{'mount':>12}{'memory':>11}{'first read':>13}{'umount':>12}")
    failed = not runs
    kib = {}
    for (kind, inodes), rows in sorted(runs.items()):
        m = [statistics.median(column) for column in zip(*rows)]
        print(f"{kind:8}{inodes:9}{m[0] * 1e3:9.2f} ms{m[1]:7.0f} KiB{m[2] * 1e3:10.2f} ms{m[3] * 1e3:9.2f} ms")
        if not kind.endswith("612"):
            kib.setdefault(kind, []).append(m[1])
            failed |= m[0] * 1e3 > max_ms or m[4] < inodes
    failed |= any(k[-1] - k[0] > GROWTH_KIB for k in kib.values())
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "tree":
        tree(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "measure":
        measure(int(sys.argv[2]))
    else:
        sys.exit(report(sys.argv[2], float(sys.argv[3])))
