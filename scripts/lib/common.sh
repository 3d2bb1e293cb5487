# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Shared by the scripts: messages, steps with progress, the cache and its locks.
#
# Everything a person reads goes to stderr; stdout carries only results (paths).

# Builders run in command substitutions, and must stop at the first error there too.
shopt -s inherit_errexit

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${BCACHEFS_RS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bcachefs-rs}
mkdir -p "$CACHE/log" "$CACHE/lock"
CACHE=$(cd "$CACHE" && pwd -P)
JOBS=${JOBS:-$(nproc)}
export REPO CACHE JOBS

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: error: $*"; exit 1; }

need_root() {
	[ "$(id -u)" -eq 0 ] || die "this needs root (mount namespaces, loop devices); run it with sudo"
}

# step NAME CMD...: run CMD with its output in a log file; one line when it starts,
# one a minute while it runs, one when it ends; upon failure the end of the log.
step() {
	local name=$1 log start=$SECONDS rc=0 beat
	shift
	log="$CACHE/log/$(date +%Y%m%d-%H%M%S)-$$-${name//[^A-Za-z0-9]/_}.log"
	say "==> $name"
	(
		trap 'kill "$sleeper" 2>/dev/null; exit' TERM
		while :; do
			sleep 60 & sleeper=$!
			wait "$sleeper"
			say "    $name: $((SECONDS - start)) s, still running"
		done
	) &
	beat=$!
	"$@" >"$log" 2>&1 </dev/null || rc=$?
	kill "$beat" 2>/dev/null || :
	wait "$beat" 2>/dev/null || :
	if [ "$rc" -ne 0 ]; then
		say "    $name: FAILED with status $rc after $((SECONDS - start)) s; the end of $log:"
		tail -n 40 "$log" >&2
		return "$rc"
	fi
	say "    $name: $((SECONDS - start)) s"
}

# For cargo inside the root: the certificates that this machine trusts, which can be more than Debian's.
trust_certificates() {
	[ -f /etc/ssl/certs/ca-certificates.crt ] || return 0
	cp /etc/ssl/certs/ca-certificates.crt "$CACHE/certificates.crt"
	export CARGO_HTTP_CAINFO=$CACHE/certificates.crt
}

# key_of TEXT...: a short hash that names a cache entry after what it is made from.
key_of() { printf '%s\n' "$@" | sha256sum | cut -c1-12; }

# cached NAME KEY BUILDER: print the path of the cache entry NAME-KEY. When it is missing,
# BUILDER is called with an empty temporary directory, which is renamed into place once
# BUILDER has succeeded. A lock keeps two callers from building the same thing twice.
cached() {
	local name=$1 final="$CACHE/$1-$2" builder=$3 tmp fd
	if [ ! -d "$final" ]; then
		exec {fd}>"$CACHE/lock/$name"
		if ! flock -n "$fd"; then
			say "==> $name: another process is preparing it; waiting"
			flock "$fd"
		fi
		if [ ! -d "$final" ]; then
			# The lock is held: whatever carries our temporary name was left by a killed run.
			# A child of it may still be writing there for a moment; the next run removes that.
			rm -rf --one-file-system "$CACHE/tmp-$name".* 2>/dev/null || :
			tmp=$(mktemp -d "$CACHE/tmp-$name.XXXXXX")
			chmod 755 "$tmp"
			# Not in a condition, so that errexit keeps working inside the builder.
			(set -e; "$builder" "$tmp" "$final" {fd}>&-)
			sync -f "$tmp"
			mv -T "$tmp" "$final"
			# What this one replaces, once nobody has used it for a week.
			find "$CACHE" -maxdepth 1 -regex ".*/$name-[0-9a-f]+" ! -path "$final" -mtime +7 \
				-exec rm -rf --one-file-system {} +
		fi
		exec {fd}>&-
	fi
	touch -c "$CACHE/$1-$2"
	printf '%s\n' "$final"
}
