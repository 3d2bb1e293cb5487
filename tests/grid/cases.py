#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""cases.py - the combinations of format options that tests/grid makes images of.

Prints one line for each: name, sizes of the devices in MiB (with commas), arguments of the format
command. Every pair of values of two options is in at least one of them, as far as both can be
had together. The same list every time.
"""
import itertools
import random

AT_LEAST = 64
SEED = 1
# Options in the order of a name, their values, the first being the default one.
OPTIONS = {
    'block': ('4k', '512'),
    'bucket': ('256k', '64k', '128k', '512k', '1M'),
    'node': ('256k', '32k', '64k', '128k'),
    'data': ('crc32c', 'none', 'crc64', 'xxhash'),
    'meta': ('crc32c', 'none', 'crc64', 'xxhash'),
    'comp': ('none', 'lz4', 'gzip', 'zstd'),
    'bg': ('none', 'lz4', 'zstd:9'),
    'enc': ('none', 'chacha', 'wide'),
    'repl': ('1', '2', '3'),
    'devs': ('1', '2', '3'),
    'hash': ('siphash', 'crc32c', 'crc64'),
    'extent': ('64k', '16k', '256k'),
    'misc': ('none', 'inodes_32bit', 'nocow', 'shard_inode_numbers', 'inodes_use_key_cache'),
}
# What nothing can use: 6.12 and its tools refuse blocks larger than a page.
SPECIAL = ({'block': '16k'}, {'block': '16k', 'devs': '2', 'repl': '2'})
UNITS = {'k': 1 << 10, 'M': 1 << 20}


def size(text):
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def possible(case):
    """Whether these values, of some or all options, can be had together."""
    c = case
    if 'node' in c and 'bucket' in c and size(c['node']) > size(c['bucket']):
        return False
    if 'repl' in c and 'devs' in c and c['repl'] > c['devs']:
        return False
    # Nocow turns checksums, compression and encryption off.
    if c.get('misc') == 'nocow':
        return all(c.get(k, 'none') == 'none' for k in ('comp', 'bg', 'enc'))
    # Encryption brings its own checksums.
    return c.get('enc', 'none') == 'none' or c.get('data', 'crc32c') == c.get('meta', 'crc32c') == 'crc32c'


def pairs(case):
    return set(itertools.combinations(sorted(case.items()), 2))


def complete(rng, case, wanted):
    """Fills in the options that `case` lacks, with the values that make the most wanted pairs."""
    names = [n for n in OPTIONS if n not in case]
    rng.shuffle(names)
    for i, name in enumerate(names):
        values = [v for v in OPTIONS[name] if finishable({**case, name: v}, names[i + 1:])]
        rng.shuffle(values)
        if not values:
            return None
        case = {**case, name: max(values, key=lambda v: len(wanted & pairs({**case, name: v})))}
    return case


def finishable(case, names):
    """Whether the rest can still be chosen; the constraints only join these few."""
    if not possible(case):
        return False
    tied = [n for n in names if n in ('node', 'bucket', 'repl', 'devs', 'misc', 'enc', 'data', 'meta', 'comp', 'bg')]
    return all(any(possible({**case, n: v}) for v in OPTIONS[n]) for n in tied)


def cover():
    rng = random.Random(SEED)
    wanted = {p for a, b in itertools.combinations(sorted(OPTIONS), 2)
              for p in (((a, x), (b, y)) for x in OPTIONS[a] for y in OPTIONS[b]) if possible(dict(p))}
    cases = [{n: v[0] for n, v in OPTIONS.items()}]
    wanted -= pairs(cases[0])
    while wanted or len(cases) < AT_LEAST:
        start = dict(min(wanted)) if wanted else {}
        tries = [c for c in (complete(rng, start, wanted) for _ in range(20)) if c and c not in cases]
        if not tries:
            # Can only be had with a third value that excludes it.
            wanted.discard(min(wanted))
            continue
        best = max(tries, key=lambda c: len(wanted & pairs(c)))
        cases.append(best)
        wanted -= pairs(best)
    return cases + [{**cases[0], **s} for s in SPECIAL]


def arguments(case):
    c = case
    args = [f'--block_size={c["block"]}', f'--bucket={c["bucket"]}', f'--btree_node_size={c["node"]}',
            f'--data_checksum={c["data"]}', f'--metadata_checksum={c["meta"]}', f'--str_hash={c["hash"]}',
            f'--encoded_extent_max={c["extent"]}', f'--replicas={c["repl"]}']
    if c['comp'] != 'none':
        args.append(f'--compression={c["comp"]}')
    if c['bg'] != 'none':
        args.append(f'--background_compression={c["bg"]}')
    if c['enc'] != 'none':
        args += ['--encrypted', '--no_passphrase']
    if c['enc'] == 'wide':
        args.append('--wide_macs')
    if c['misc'] != 'none':
        args.append(f'--{c["misc"]}')
    return args


def name(nr, case):
    """What is not the default, after a number."""
    return '-'.join([f'{nr:02}'] + [f'{n}_{case[n].replace(":", "")}' for n in OPTIONS
                                    if case[n] != OPTIONS[n][0]] or ['default'])


def sizes(case):
    """Devices of different sizes; a device needs a number of buckets and room for the tree."""
    mib = max(96, size(case['bucket']) * 288 >> 20)
    return [mib + 16 * i for i in range(int(case['devs']))]


def main():
    for nr, case in enumerate(cover()):
        print(name(nr, case), ','.join(map(str, sizes(case))), *arguments(case))


if __name__ == '__main__':
    main()
