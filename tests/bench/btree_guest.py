#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0

"""The parts of tests/bench/btree: starts the filesystem and measures, in the guest; sees what the guest
takes, outside; reports."""

import glob
import subprocess
import sys
import time

import memory
from read_guest import mount, umount

# Seconds without work, for who watches.
PAUSE = 0.1


def start():
    """The first mount of a new filesystem makes its root directory."""
    mount(0)
    umount()


def sysfs():
    (found,) = glob.glob("/sys/fs/bcachefs/*/perf_test")
    return found.rpartition("/")[0]


def cache_bytes(top):
    """What the nodes in memory take; both round it."""
    with open(f"{top}/btree_cache_size", encoding="ascii") as f:
        text = f.read().strip()
    digits = text.rstrip("BiIkKMGTP")
    unit = text[len(digits) :].rstrip("Bi").upper()
    return float(digits) * 1024 ** "KMGTP".find(unit) * 1024 if unit else float(digits)


def timed(top, test, number, threads):
    """Seconds by the clock; writing to the file ends when the test has. Whoever watches from outside
    looks at the processor time when it starts and when it ends; meanwhile nothing is done here."""
    print("begin", flush=True)
    time.sleep(PAUSE)
    with open(f"{top}/perf_test", "wb", buffering=0) as f:
        before = time.monotonic()
        f.write(f"{test} {number} {threads}\n".encode())
        seconds = time.monotonic() - before
    print("end", flush=True)
    time.sleep(PAUSE)
    return seconds


def measure(number, threads, tests):
    mount(0)
    top = sysfs()
    for test in tests:
        before, used = cache_bytes(top), memory.used()
        seconds = timed(top, test, number, threads)
        # All threads insert the same keys in sequence: there are as many as one inserts. Each goes
        # over all of them, and deletes what another one has not.
        done = number // threads if test == "seq_delete" else number
        print(f"{done} {seconds * 1e9 / done:.1f} {threads} {test}", flush=True)
        if test in ("rand_insert", "seq_insert") and threads == 1:
            cached = (cache_bytes(top) - before) / number
            print(f"bytes {cached:.1f} {threads} cached nodes, for a key of {test}", flush=True)
            used = (memory.used() - used) * 1024 / number
            print(f"bytes {used:.1f} {threads} all memory, for a key of {test}", flush=True)
    umount()


def children(pid):
    """Processes that a process has started, and they."""
    found = [pid]
    for at in found:
        for path in glob.glob(f"/proc/{at}/task/*/children"):
            with open(path, encoding="ascii") as f:
                found += [int(x) for x in f.read().split()]
    return found


def processor_ns(pid):
    """The time on a processor of the User Mode Linux that `pid` has started: of the thread that runs the
    kernel of the guest and its threads. Not those that do its input and output."""
    most = 0
    for at in children(pid):
        try:
            with open(f"/proc/{at}/cmdline", "rb") as f:
                if not f.read().startswith(b"/guest/linux"):
                    continue
            with open(f"/proc/{at}/task/{at}/schedstat", encoding="ascii") as f:
                most = max(most, int(f.read().split()[0]))
        except FileNotFoundError:
            pass
    return most


def watch(*command):
    """Runs a guest that measures; prints its results with processor time in them."""
    begin = took = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as guest:
        for line in guest.stdout:
            word, *rest = line.rstrip("\n").split(" ", 1)
            if word == "begin":
                begin = processor_ns(guest.pid)
            elif word == "end":
                took = processor_ns(guest.pid) - begin
            elif word == "bytes":
                print(word, *rest, flush=True)
            else:
                clock, threads, name = rest[0].split(" ", 2)
                print(f"ns {took / int(word):.1f} {threads} {name}", flush=True)
                print(f"ns {clock} {threads} {name}, by the clock", flush=True)
    return guest.returncode


def report(path, limit, kinds):
    found, units = {}, {}
    with open(path, encoding="ascii") as f:
        for line in f:
            kind, checksum, unit, value, threads, name = line.rstrip("\n").split(" ", 5)
            row = (checksum, threads, name)
            units[row] = unit
            found.setdefault(row, {}).setdefault(kind, []).append(float(value))
    failed = not found
    print(f"{'checksum':10}{'threads':9}{'':42}" + "".join(f"{k:>15}" for k in kinds) + f"{'ratio':>8}")
    for row, by_kind in sorted(found.items(), key=lambda x: (x[0][0], x[0][1], x[0][2].endswith("clock"))):
        least = [min(by_kind.get(k, [float("nan")])) for k in kinds]
        ratio = least[0] / least[1] if len(least) > 1 and least[1] else float("nan")
        values = "".join(f"{x:9.0f} {units[row]:5}" for x in least)
        print(f"{row[0]:10}{row[1]:9}{row[2]:42}{values}{ratio:8.2f}")
        failed |= bool(limit) and ratio > limit and not row[2].endswith("clock")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start()
    elif sys.argv[1] == "measure":
        measure(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    elif sys.argv[1] == "watch":
        sys.exit(watch(*sys.argv[2:]))
    else:
        sys.exit(report(sys.argv[2], float(sys.argv[3]), sys.argv[4:]))
