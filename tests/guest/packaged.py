#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The packaged tools, run so that their own trouble is not taken for the module's: now and then they hang
at their end, or die of a signal. Then they run again."""
import subprocess

from common import Skip

TRIES = 3


class Unwell(RuntimeError):
    """They do not end well, however often they run."""


def run(*args, timeout=60, given=None):
    """Exit status, output, messages of a command that can be repeated; given: what it reads."""
    what = {'stdin': subprocess.DEVNULL} if given is None else {'input': given}
    said = ''
    for _ in range(TRIES):
        try:
            p = subprocess.run(['bcachefs', *args], capture_output=True, text=True, timeout=timeout, **what)
        except FileNotFoundError:
            raise Skip('no bcachefs-tools') from None
        except subprocess.TimeoutExpired:
            said = f'not at its end after {timeout} s'
            continue
        if p.returncode >= 0:
            return p.returncode, p.stdout, p.stderr
        said = f'signal {-p.returncode}, {p.stdout[-200:]}{p.stderr[-200:]}'
    raise Unwell(f'bcachefs {" ".join(args)}: {said}')


def tool(*args):
    """Exit status, and all that is printed."""
    status, out, err = run(*args)
    return status, out + err


def formatted(*args, given=None):
    """A new filesystem."""
    status, out, err = run('format', '--force', '--no_initialize', *args, timeout=20, given=given)
    if status:
        raise RuntimeError(f'bcachefs format {args}: {out[-200:]}{err[-200:]}')
