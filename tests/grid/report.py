#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py TAP - numbers the results of tests/grid/run, and adds up how each value of each option
went. The status is 1 when something failed, or nothing passed."""
import re
import sys

import cases


def main():
    options = {cases.name(nr, c): c for nr, c in enumerate(cases.cover())}
    total, by_value, nr = [0, 0, 0], {}, 0
    with open(sys.argv[1]) as f:
        for line in f:
            m = re.match(r'(ok|not ok)(?: \d+)? - (\S+)(.*)', line)
            if not m:
                print(line, end='')
                continue
            nr += 1
            print(f'{m[1]} {nr} - {m[2]}{m[3]}')
            kind = 2 if m[1] != 'ok' else 1 if '# SKIP' in m[3] else 0
            total[kind] += 1
            for option, value in options.get(m[2], {}).items():
                by_value.setdefault((option, value), [0, 0, 0])[kind] += 1
    print(f'1..{nr}')
    print(f'# {"option":28}{"same":>6}{"skipped":>9}{"failed":>8}')
    for option, values in cases.OPTIONS.items():
        for value in sorted({v for o, v in by_value if o == option}, key=(values + ('16k',)).index):
            n = by_value[option, value]
            print(f'# {option + " " + value:28}{n[0]:6}{n[1]:9}{n[2]:8}')
    print(f'# {"all":28}{total[0]:6}{total[1]:9}{total[2]:8}')
    sys.exit(total[2] != 0 or total[0] == 0)


if __name__ == '__main__':
    main()
