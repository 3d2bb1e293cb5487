# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Programs that guests run and no package of Debian has: binaries of crates. Needs common.sh, root.sh.

# NAME=VERSION. What they depend on is fixed by the Cargo.lock that comes with each.
PROGRAMS=(fsx=0.3.2)

build_programs() {
	local out=$1 program
	trust_certificates
	# shellcheck disable=SC2016 # expanded inside
	for program in "${PROGRAMS[@]}"; do
		step "programs: ${program%=*}" in_root -b "$out:/programs" sh -ec '
			export CARGO_HOME=$1/cargo-home CARGO_TARGET_DIR=/tmp/target
			nice cargo install --locked --root /programs --version "=$3" "$2"' \
			sh "$CACHE" "${program%=*}" "${program#*=}"
	done
}

# Prints the directory they are in.
use_programs() {
	local item
	item=$(cached programs "$(key_of "$SUITE" "${PROGRAMS[@]}")" build_programs)
	printf '%s\n' "$item/bin"
}
