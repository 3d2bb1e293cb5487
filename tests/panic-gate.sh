#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The build refuses a module that could panic: a copy of the tree with an added `unwrap`, an index
# and a slice must not build, and the build names what it found. TAP.
set -uo pipefail

repo=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd -P)
cache=${BCACHEFS_RS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bcachefs-rs}
# One place, so that a build of it finds most of its objects again.
copy=$cache/panic-gate
mkdir -p "$copy"
cd "$repo" || exit 1
rm -rf "${copy:?}"/*
git ls-files -co --exclude-standard -- Kbuild Kconfig Makefile src include |
	while read -r f; do [ ! -f "$f" ] || cp --parents "$f" "$copy"; done

cat >>"$copy/src/bcachefs.rs" <<'RUST'

mod provoked {
    fn first(v: &[u8], n: usize) -> u8 {
        v[n]
    }

    fn value(v: Option<u8>) -> u8 {
        v.unwrap()
    }

    fn slice(v: &[u8], n: usize) -> &[u8] {
        &v[n..]
    }

    #[used]
    static FIRST: fn(&[u8], usize) -> u8 = first;
    #[used]
    static VALUE: fn(Option<u8>) -> u8 = value;
    #[used]
    static SLICE: fn(&[u8], usize) -> &[u8] = slice;
}
RUST

echo 1..4
if out=$(scripts/build -k uml -s "$copy" 2>&1); then
	echo "not ok 1 - a module that can panic is refused"
else
	echo "ok 1 - a module that can panic is refused"
fi
n=2
for symbol in unwrap_failed panic_bounds_check slice_start_index; do
	if grep -q "$symbol" <<<"$out"; then
		echo "ok $n - the build names $symbol"
	else
		echo "not ok $n - the build names $symbol"
		printf '%s\n' "$out" | tail -n 20 | sed 's/^/# /'
	fi
	n=$((n + 1))
done
