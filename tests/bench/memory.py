# SPDX-License-Identifier: GPL-2.0

"""How much memory a kernel uses."""


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


def meminfo():
    """KiB by name."""
    with open("/proc/meminfo") as f:
        return {k: int(v.split()[0]) for k, v in (line.split(":") for line in f)}


def used():
    """KiB in use for anything but the contents of files and devices."""
    m = meminfo()
    return m["MemTotal"] - m["MemFree"] - m["Buffers"] - m["Cached"]


def slab():
    """KiB in slabs."""
    return meminfo()["Slab"]
