# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Debian 13 root: tool chain, guest user land, and the kernel packages. Needs common.sh.

# First choice; when the archive has moved on, the newest 7.x of the same flavour is taken.
KERNEL_PIN=7.3.4+deb13-cloud-amd64
KERNEL_FLOOR=7.3
SUITE=trixie

ROOT_PACKAGES=(
	# tool chain
	gcc-14 g++-14 gcc make flex bison bc pahole libelf-dev libssl-dev openssl libdw-dev zlib1g-dev
	rustc rust-src rustfmt rust-clippy cargo bindgen clang libclang-dev lld llvm
	cpio xz-utils zstd rsync git ca-certificates shellcheck
	# guest user land
	bash coreutils util-linux kmod python3 attr acl strace fio e2fsprogs xfsprogs btrfs-progs
	keyutils findutils procps psmisc diffutils grep sed gawk file dmsetup quota
	bcachefs-tools busybox-static qemu-system-x86 virtiofsd dbench stress-ng
)

# The archive that this machine uses itself, from its own apt configuration.
debian_mirror() {
	local targets
	[ -z "${BCACHEFS_RS_MIRROR:-}" ] || { printf '%s\n' "$BCACHEFS_RS_MIRROR"; return; }
	# shellcheck disable=SC2016 # apt's own variables
	targets() { apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' 'Origin: Debian' |
		awk '$2 == "Debian" { sub("/$", "", $1); print $1; exit }'; }
	targets=$(targets)
	if [ -z "$targets" ]; then
		apt-get update >&2
		targets=$(targets)
	fi
	[ -n "$targets" ] || die "apt knows no Debian archive here; set BCACHEFS_RS_MIRROR to one"
	printf '%s\n' "$targets"
}

# apt's source list for the root. The signatures are checked; their expiry is not, because a
# mirror of the rarely changing suites lags behind at times. Backports and experimental have a low priority of their
# own, so only packages that exist nowhere else come from there.
debian_sources() {
	local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite
	mirror=$(debian_mirror)
	for suite in "$SUITE" "$SUITE-updates" "$SUITE-backports" experimental; do
		printf 'deb [signed-by=%s check-valid-until=no] %s %s main\n' "$keyring" "$mirror" "$suite"
	done
}

host_needs() {
	local missing=() tool
	for tool in mmdebstrap:mmdebstrap unshare:util-linux zstd:zstd setpriv:util-linux; do
		command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
	done
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	if [ "${#missing[@]}" -ne 0 ]; then
		step "host packages: ${missing[*]}" sh -c "apt-get update &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ${missing[*]}"
	fi
}

build_root() {
	local out=$1
	host_needs
	debian_sources >"$out/sources.list"
	mkdir "$out/root"
	step "root: Debian $SUITE with tool chain and guest user land" \
		unshare -m mmdebstrap --variant=minbase --skip=cleanup/apt/lists \
		--include="$(IFS=,; printf '%s' "${ROOT_PACKAGES[*]}")" \
		--dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-exclude='/usr/share/man/*' \
		--dpkgopt=path-exclude='/usr/share/locale/*' --dpkgopt=path-exclude='/usr/share/info/*' \
		"$SUITE" "$out/root" "$out/sources.list"
	fetch_kernel_packages "$out"
	rm -rf "$out"/root/var/lib/apt/lists/* "$out"/root/var/cache/apt/*
	# What a prepared kernel tree depends on: rmeta files work with the very rustc that wrote them.
	chroot "$out/root" sh -c \
		'rustc -V; bindgen -V; gcc-14 -dumpfullversion; clang -dumpversion' >"$out/toolchain"
}

# The kernels are not installed, only unpacked where needed: installing would ask for an initramfs.
fetch_kernel_packages() {
	local out=$1 release
	release=$(chroot "$out/root" apt-cache pkgnames linux-image- |
		sed -n 's/^linux-image-\([0-9.]*+deb13-cloud-amd64\)$/\1/p' | sort -V | tail -n 1)
	if chroot "$out/root" apt-cache show "linux-image-$KERNEL_PIN" >/dev/null 2>&1; then
		release=$KERNEL_PIN
	fi
	[ -n "$release" ] || die "the archive has no stock kernel of the cloud flavour"
	printf '%s\n%s\n' "$KERNEL_FLOOR" "$release" | sort -VC ||
		die "the newest kernel in the archive is $release; $KERNEL_FLOOR is needed"
	printf '%s\n' "$release" >"$out/release"
	mkdir "$out/root/debs"
	# shellcheck disable=SC2016 # expanded inside
	step "root: kernel packages for $release" chroot "$out/root" sh -ec '
		cd /debs
		series=$(printf "%s" "$1" | cut -d. -f1,2)
		version=$(apt-cache show "linux-image-$1" | sed -n "s/^Version: //p" | head -n 1)
		apt-get download "linux-binary-$1=$version" "linux-modules-$1=$version" \
			"linux-headers-$1=$version" "linux-source-$series=$version" linux-source-6.12' sh "$release"
	mv "$out/root/debs" "$out/debs"
}

root_key() { key_of "$SUITE $KERNEL_PIN" "${ROOT_PACKAGES[@]}" "$(declare -f build_root fetch_kernel_packages)"; }

# Sets ROOT (its directory), DEBS, RELEASE and SERIES (stock kernel) and TOOLCHAIN (versions).
use_root() {
	local item
	need_root
	item=$(cached root "$(root_key)" build_root)
	ROOT=$item/root
	DEBS=$item/debs
	RELEASE=$(cat "$item/release")
	TOOLCHAIN=$(cat "$item/toolchain")
	SERIES=$(cut -d. -f1,2 <<<"$RELEASE")
	export ROOT DEBS RELEASE SERIES TOOLCHAIN
}

# in_root [-b FROM:TO[:ro]]... CMD...: run CMD inside the root, in mount and process namespaces of
# its own that vanish with it, whatever way it ends. The cache and the checkout have the same path
# on both sides; the working directory is kept when it exists inside. The root itself is never
# changed: writes outside the shared directories go to memory.
in_root() {
	local binds=()
	while [ "${1:-}" = -b ]; do binds+=("$2"); shift 2; done
	IN_ROOT_BINDS=$(printf '%s\n' "${binds[@]}") \
		setpriv --pdeathsig KILL unshare -m -p -f --kill-child=KILL --propagation private \
		bash "$REPO/scripts/lib/enter-root.sh" "$ROOT" "$@"
}
