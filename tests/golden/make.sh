#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes demo.img.zst and demo.manifest: a small file system formatted by the packaged bcachefs-tools
# and filled by the C implementation of Debian's 6.12 kernel, and what that shows of it (list).
# Only for making them anew; using them needs neither.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
scripts=$(cd "$here/../../scripts" && pwd -P)
# shellcheck source=scripts/lib/common.sh
. "$scripts/lib/common.sh"
# shellcheck source=scripts/lib/root.sh
. "$scripts/lib/root.sh"
use_root
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The packaged tools hang at exit now and then: a time limit, and another try.
formatted=
for _ in 1 2 3 4 5; do
	rm -f "$work/demo.img"
	truncate -s 32M "$work/demo.img"
	if in_root -b "$work:/image" timeout -s KILL 30 \
		bcachefs format -q -f --bucket=128k --fs_label=demo /image/demo.img; then
		formatted=yes
		break
	fi
done
[ -n "$formatted" ] || { echo "$0: bcachefs format does not end well" >&2; exit 1; }

cat >"$work/fill" <<'END'
set -e
mount -i -t bcachefs "$DISK0" /mnt
cd /mnt
text() { seq -f "line %g of $1: the quick brown fox jumps over the lazy dog" "$2"; }
: >empty
echo "Hello from the C implementation." >hello.txt
text medium 2000 >medium.txt
text large 20000 >large.txt
# One byte less, the same and one more than a block; ten bytes a line.
for size in 1 511 512 4095 4096 4097 65536; do
	seq -f '%09g' 10000 | head -c "$size" >"size-$size"
done
truncate -s 1M sparse
printf middle | dd of=sparse bs=1 seek=524288 conv=notrunc status=none
printf end | dd of=sparse bs=1 seek=1048573 conv=notrunc status=none
mkdir -p directory/nested/deeply/down many
echo "at the bottom" >directory/nested/deeply/down/file
for i in $(seq 100); do echo "$i" >"many/file-$i"; done
ln -s hello.txt symlink
ln -s /nowhere/to/be/found dangling
ln hello.txt directory/hard-link
mkfifo fifo
mknod null c 1 3
echo "naïve café, 日本語" >"naïve café 日本語.txt"
echo long >"$(printf 'n%.0s' $(seq 255))"
setfattr -n user.comment -v "an extended attribute" hello.txt
setfattr -n user.where -v here directory
chmod 4750 size-512
chmod 1777 many
chown 1000:100 medium.txt directory
# Overwritten and truncated after they have reached the disk.
sync
text overwritten 50 | dd of=large.txt bs=4096 seek=10 conv=notrunc status=none
truncate -s 40000 medium.txt
rm many/file-5?
mv many/file-1 directory/moved
find . -depth -exec touch -h -d '2024-02-29 12:34:56.789012345 UTC' {} +
cd /
umount /mnt
mount -i -t bcachefs -o ro "$DISK0" /mnt
"$SRC/tests/golden/list" /mnt >"$OUT/demo.manifest"
umount /mnt
END
OUT=$work "$scripts/guest" -k c612 -t 120 -d "$work/demo.img" -- "$(cat "$work/fill")"
zstd -q -19 --ultra -f "$work/demo.img" -o "$here/demo.img.zst"
cp "$work/demo.manifest" "$here/demo.manifest"
ls -l "$here/demo.img.zst" "$here/demo.manifest"
