# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# From kernel source to a tree that modules written in Rust are built against. Shared by
# scripts/env and scripts/prepare-kernel; errors end in die(), which the caller has.

# Symbols through which Rust code would panic. They are left out of the Module.symvers that
# modules are linked against, so a reference to one of them is a build error.
PANIC_SYMBOLS='_R.*(panick|panic_|_fail$|unwrap_failed|expect_failed|overflow_panic|do_panic)'

filter_symvers() {
	local tree=$1
	mv "$tree/Module.symvers" "$tree/Module.symvers.full"
	awk -F'\t' -v panic="$PANIC_SYMBOLS" -v rest="$tree/Module.symvers.panic" \
		'$2 ~ panic { print >rest; next } { print }' \
		"$tree/Module.symvers.full" >"$tree/Module.symvers"
	[ -s "$tree/Module.symvers.panic" ] || die "no panic symbol found in $tree/Module.symvers"
}

# Leave what building modules, clippy, rustdoc and rust-analyzer read.
trim_tree() {
	local tree=$1
	(
		# shellcheck disable=SC2164 # errexit
		cd "$tree"
		rm -rf samples sound drivers net virt Documentation LICENSES certs/*.o
		find . -path ./scripts -prune -o -path ./tools/objtool/objtool -prune -o -path ./rust -prune -o \
			-type f \( -name '*.o' -o -name '*.a' -o -name '*.c' -o -name '*.cmd' -o -name '*.rs' \
			-o -name '*.dts*' \) -print0 |
			xargs -0 rm -f
		find rust scripts -type f \( -name '*.o' -o -name '*.a' \) ! -path 'scripts/mod/*' \
			! -name module-common.o -delete
		find arch -mindepth 1 -maxdepth 1 -type d ! -name x86 ! -name um -exec rm -rf {} +
		rm -f vmlinux.o .tmp_vmlinux* System.map linux
		# Not needed any more by modpost, and large.
		rm -f vmlinux
	)
}

# same_config A B: whether a module built with configuration B fits a kernel with A. What kconfig
# found out about signing tools, and the name of the compiler's package, has no influence.
same_config() {
	local ignored='OPENSSL|MODULE_SIG_KEY_TYPE|CC_VERSION_TEXT'
	diff <(grep -Ev "$ignored" "$1") <(grep -Ev "$ignored" "$2") >&2
}

# prepare_tree TREE HEADERS RUSTC JOBS: what the header package of a Debian kernel leaves out,
# Rust's metadata, made again from the source in TREE. .kernelvariables, which every make in TREE
# reads, says which compilers.
prepare_tree() {
	local tree=$1 headers=$2 rustc=$3 jobs=$4 tool program
	cp "$headers/.config" "$headers/.kernelvariables" "$tree/"
	printf 'override RUSTC = %s\n' "$rustc" >>"$tree/.kernelvariables"
	# The headers come with programs for modules: no need for what those are built with.
	for tool in objtool bpf/resolve_btfids; do
		program=$headers/tools/$tool/${tool##*/}
		[ -x "$program" ] || continue
		printf '#!/bin/sh\nexec %s "$@"\n' "$program" >"$tree/tools/$tool/${tool##*/}"
		chmod a+x "$tree/tools/$tool/${tool##*/}"
		printf 'all: ;\n' >"$tree/tools/$tool/Makefile"
	done
	make -C "$tree" olddefconfig
	make -C "$tree" -j"$jobs" modules_prepare
	same_config "$headers/.config" "$tree/.config" ||
		die "the tool chain changes the kernel's .config; a module built with it would not fit"
	cp "$headers/Module.symvers" "$tree/Module.symvers"
	filter_symvers "$tree"
	trim_tree "$tree"
}
