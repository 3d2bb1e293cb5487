# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Kernel trees: what a module is built against, and the kernels that the guests boot.
# Needs common.sh, root.sh and tree.sh.
#
# Every entry has: tree/ (for make -C), release, and a bootable kernel: linux (UML) or
# image/ (vmlinuz and modules of a package of Debian's).
#
# Trees are built in place, not with O=: no absolute path gets into them, and what is left
# after trimming is self-contained.

# shellcheck source=scripts/lib/tree.sh
. "$REPO/scripts/lib/tree.sh"

CC_KERNEL=x86_64-linux-gnu-gcc-14
CONFIGS=$REPO/scripts/config

# unpack_source OUT SERIES: kernel source into OUT/tree, without the bulk nobody compiles here.
unpack_source() {
	local out=$1 series=$2 deb
	deb=$(echo "$DEBS"/linux-source-"$series"_*.deb)
	mkdir "$out/tree"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/linux-source-$series.tar.xz" |
		tar -xJ -C "$out/tree" --strip-components=1 \
			--exclude='*/Documentation/*.rst' --exclude='*/Documentation/*.yaml' \
			--exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/media/*.[ch]' \
			--exclude='*/drivers/net/*/*.[ch]' --exclude='*/sound/*/*.[ch]' \
			--exclude='*/drivers/staging/*.[ch]' --exclude='*.dts' --exclude='*.dtsi' \
			--exclude='*/tools/testing/*' --exclude='*/tools/perf/*' \
			--exclude='*/drivers/scsi/*.[ch]' --exclude='*/drivers/infiniband/*.[ch]'
}

# kmake OUT FINAL ARGS...: make in the tree OUT/tree, seen at FINAL/tree where it will live.
kmake() {
	local out=$1 final=$2
	shift 2
	IN_ROOT_NO_CACHE=1 in_root -b "$out:$final" nice make -C "$final/tree" -j"$JOBS" "$@"
}

build_stock() {
	# shellcheck disable=SC2153 # from use_root
	local out=$1 final=$2 headers series=$SERIES
	step "stock: unpacking linux-source-$series" unpack_source "$out" "$series"
	mkdir "$out/image"
	dpkg-deb -x "$(echo "$DEBS"/linux-headers-"$RELEASE"_*.deb)" "$out/headers"
	dpkg-deb -x "$(echo "$DEBS"/linux-binary-"$RELEASE"_*.deb)" "$out/image"
	dpkg-deb -x "$(echo "$DEBS"/linux-modules-"$RELEASE"_*.deb)" "$out/image"
	headers=$final/headers/usr/src/linux-headers-$RELEASE
	IN_ROOT_NO_CACHE=1 step "stock: preparing the tree for $RELEASE" in_root -b "$out:$final" \
		nice "$REPO/scripts/prepare-kernel" -j "$JOBS" -H "$headers" -t "$final/tree" "$RELEASE"
	printf '%s\n' "$RELEASE" >"$out/release"
	rm -rf "$out/headers"
}

# build_uml OUT FINAL SERIES FRAGMENT...
build_uml() {
	local out=$1 final=$2 series=$3 name
	shift 3
	name=$(basename "${final%-*}")
	step "$name: unpacking linux-source-$series" unpack_source "$out" "$series"
	[ ! -e "$CONFIGS/$name.patch" ] || IN_ROOT_NO_CACHE=1 step "$name: patching" in_root -b "$out:$final" \
		env GIT_CEILING_DIRECTORIES="$final" git -C "$final/tree" apply "$CONFIGS/$name.patch"
	cat "$@" >"$out/tree/.config"
	step "$name: configuring" kmake "$out" "$final" ARCH=um "${UML_VARS[@]}" olddefconfig
	check_config "$out/tree/.config" "$@"
	step "$name: compiling Linux $series for user mode" \
		kmake "$out" "$final" ARCH=um "${UML_VARS[@]}" "${UML_TARGETS[@]}"
	cp "$out/tree/linux" "$out/linux"
	strip --strip-debug "$out/linux"
	cp "$out/tree/System.map" "$out/System.map"
	cp "$out/tree/include/config/kernel.release" "$out/release"
}

# A symbol that was asked for and did not get in is an error, not a surprise later.
check_config() {
	local config=$1 line bad=0
	shift
	# The last word on each symbol counts.
	while read -r line; do
		case $line in
		*=n) ! grep -qx "${line%=n}=[ym]" "$config" || { say "    not off: $line"; } ;;
		CONFIG_*) grep -qxF "$line" "$config" || { say "    not set: $line"; bad=1; } ;;
		esac
	done < <(settings_of "$@" | awk -F= '{ last[$1] = $0 } END { for (s in last) print last[s] }')
	[ "$bad" -eq 0 ] || die "the kernel configuration lacks something that was asked for"
}

UML_GCC=(CC="$CC_KERNEL" HOSTCC=gcc-14)
UML_CLANG=(LLVM=1 HOSTCC=gcc-14)

build_uml_plain() {
	local UML_VARS=("${UML_GCC[@]}") UML_TARGETS=(linux modules)
	build_uml "$1" "$2" "$SERIES" "$CONFIGS/uml.config"
	filter_symvers "$1/tree"
	trim_tree "$1/tree"
}

build_uml_debug() {
	local UML_VARS=("${UML_CLANG[@]}") UML_TARGETS=(linux modules)
	build_uml "$1" "$2" "$SERIES" "$CONFIGS/uml.config" "$CONFIGS/uml-debug.config"
	filter_symvers "$1/tree"
	trim_tree "$1/tree"
}

# As 6.12 is, to be compared with it.
build_uml_up() {
	local UML_VARS=("${UML_GCC[@]}") UML_TARGETS=(linux modules)
	build_uml "$1" "$2" "$SERIES" "$CONFIGS/uml.config" "$CONFIGS/uml-up.config"
	filter_symvers "$1/tree"
	trim_tree "$1/tree"
}

build_c612() {
	local UML_VARS=("${UML_GCC[@]}") UML_TARGETS=(linux)
	build_uml "$1" "$2" 6.12 "$CONFIGS/c612.config"
	rm -rf "$1/tree"
}

# Debian's own 6.12 has the C implementation as a module: a reference that needs no compiler, for
# QEMU.
build_d612() {
	local out=$1 release
	mkdir "$out/debs" "$out/image"
	# shellcheck disable=SC2016 # expanded inside
	step "d612: fetching Debian's kernel 6.12" in_root -b "$out/debs:/debs" sh -ec '
		apt-get -q update
		cd /debs
		apt-get -q download "$(apt-cache pkgnames linux-image-6.12 |
			grep "^linux-image-6\.12\.[0-9]*+deb13-cloud-amd64$" | sort -V | tail -n 1)"'
	dpkg-deb -x "$out"/debs/linux-image-*.deb "$out/image"
	release=$(ls "$out/image/usr/lib/modules")
	mv "$out/image/boot/vmlinuz-$release" "$out/image/usr/lib/modules/$release/vmlinuz"
	printf '%s\n' "$release" >"$out/release"
	rm -rf "$out/debs"
}

# kernel_make_vars NAME: what make needs to build a module against that tree, one a line.
kernel_make_vars() {
	case $1 in
	stock) ;; # its .kernelvariables say it
	uml | uml-up) printf '%s\n' ARCH=um "${UML_GCC[@]}" ;;
	uml-debug) printf '%s\n' ARCH=um "${UML_CLANG[@]}" ;;
	*) die "no modules are built for $1" ;;
	esac
}

# module_dir NAME ENTRY SRC: where the module built from SRC for that kernel goes.
module_dir() { printf '%s\n' "$CACHE/build/$1-$(key_of "$3" "$(basename "$2")")"; }

# module_fresh KO SRC: KO was built from SRC as it is now.
module_fresh() {
	local stamp=${1%/*}/.stamp
	[ -e "$1" ] && [ -e "$stamp" ] &&
		[ -z "$(find "$2" \( -name .git -o -name tests -o -name scripts -o -name Documentation \) -prune -o \
			-newer "$stamp" ! -name '*.md' \( -type f -o -type d -path '*/src/*' \) -print -quit)" ]
}

# The settings of configuration fragments, without what does not matter.
settings_of() { grep -hv -e '^#' -e '^$' "$@"; }

# kernel_tree NAME: make sure of the entry NAME and print its path.
kernel_tree() {
	local name=$1 made_by common builder fragments=()
	common="$TOOLCHAIN $RELEASE $(declare -f unpack_source build_uml filter_symvers trim_tree) $PANIC_SYMBOLS"
	case $name in
	stock)
		builder=build_stock
		made_by="$(declare -f build_stock prepare_tree) $(cat "$REPO/scripts/prepare-kernel")"
		;;
	uml) builder=build_uml_plain fragments=(uml) ;;
	uml-debug) builder=build_uml_debug fragments=(uml uml-debug) ;;
	uml-up) builder=build_uml_up fragments=(uml uml-up) ;;
	c612) builder=build_c612 fragments=(c612) ;;
	d612) builder=build_d612 common=$SUITE made_by=$(declare -f build_d612) ;;
	*) die "unknown kernel: $name" ;;
	esac
	if [ "${#fragments[@]}" -ne 0 ]; then
		fragments=("${fragments[@]/#/$CONFIGS/}")
		made_by="$(declare -f "$builder") $(settings_of "${fragments[@]/%/.config}")"
		[ ! -e "$CONFIGS/$name.patch" ] || made_by+=$(cat "$CONFIGS/$name.patch")
	fi
	cached "$name" "$(key_of "$common" "$made_by")" "$builder"
}
