#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# enter-root.sh ROOT CMD...: the inside half of in_root (root.sh); runs in a fresh mount namespace.
set -euo pipefail

root=$1
shift
cwd=$PWD
stage=$(mktemp -d)
mount -t tmpfs -o mode=755 in-root "$stage"
mkdir "$stage/upper" "$stage/work" "$stage/new"
mount -t overlay -o "lowerdir=$root,upperdir=$stage/upper,workdir=$stage/work" overlay "$stage/new"
new=$stage/new

mount --rbind /dev "$new/dev"
mount -t proc proc "$new/proc"
mount --rbind /sys "$new/sys"
mount -t tmpfs tmp "$new/tmp"

bind() {
	local from=$1 to=$new$2 mode=${3:-}
	if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; : >>"$to"; fi
	mount --bind "$from" "$to"
	[ "$mode" != ro ] || mount -o remount,bind,ro "$to"
}

bind "$REPO" "$REPO"
if [ -z "${IN_ROOT_NO_CACHE:-}" ]; then bind "$CACHE" "$CACHE"; fi
while IFS=: read -r from to mode; do
	[ -z "$from" ] || bind "$from" "$to" "$mode"
done <<<"${IN_ROOT_BINDS:-}"
unset IN_ROOT_BINDS

# A directory of the checkout or cache may hide below /tmp; the stage may not.
[ -d "$new$cwd" ] || cwd=/
# shellcheck disable=SC2016 # expanded inside
exec env -u LD_LIBRARY_PATH -u LD_PRELOAD \
	HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	chroot "$new" /bin/sh -c 'cd "$0" && exec "$@"' "$cwd" "$@"
