# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Running phases and counting what they report; for scripts/check and scripts/test. Needs
# common.sh.
#
# A phase is a command whose output holds TAP lines, results of `cargo test`, or nothing but its
# exit status. Everything it prints goes to a log, and to the terminal when it fails.

passed=0
failed=0
skipped=0
phases_started=$SECONDS

# count LOG: adds up what LOG reports; sets n_passed, n_failed, n_skipped.
count() {
	# shellcheck disable=SC2034 # set by read
	read -r n_passed n_failed n_skipped < <(awk '
		/^ok / { if (toupper($0) ~ /# SKIP/) s++; else p++ }
		/^not ok / { if (toupper($0) ~ /# SKIP/) s++; else f++ }
		/^test result: / {
			for (i = 2; i <= NF; i++) {
				if ($i ~ /^passed/) p += $(i - 1)
				if ($i ~ /^failed/) f += $(i - 1)
				if ($i ~ /^ignored/) s += $(i - 1)
			}
		}
		/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; if ($6 ~ /^skipped/) s += $5 }
		END { print p + 0, f + 0, s + 0 }' "$1")
}

# phase [-1] NAME CMD...: runs CMD. With -1, CMD is one test, told by its exit status alone;
# without, a CMD that fails without naming a test that did, or that runs no test, failed once.
phase() {
	local single=
	if [ "$1" = -1 ]; then single=y; shift; fi
	local name=$1 log start=$SECONDS rc=0 beat note=
	shift
	log=$CACHE/log/$(date +%Y%m%d-%H%M%S)-$$-${name//[^A-Za-z0-9]/_}.log
	say "==> $name"
	(
		trap 'kill "$sleeper" 2>/dev/null; exit' TERM
		while :; do
			sleep 60 & sleeper=$!
			wait "$sleeper"
			say "    $name: $((SECONDS - start)) s; $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
		done
	) &
	beat=$!
	"$@" >"$log" 2>&1 </dev/null || rc=$?
	kill "$beat" 2>/dev/null || :
	wait "$beat" 2>/dev/null || :

	if [ -n "$single" ]; then
		n_passed=$((rc == 0)) n_failed=$((rc != 0)) n_skipped=0
	else
		count "$log"
		if [ "$rc" -ne 0 ] && [ "$n_failed" -eq 0 ]; then
			n_failed=1
			note=" (status $rc)"
		elif [ "$((n_passed + n_failed + n_skipped))" -eq 0 ]; then
			n_failed=1
			note=" (ran no test)"
		fi
	fi
	passed=$((passed + n_passed)) failed=$((failed + n_failed)) skipped=$((skipped + n_skipped))
	if [ "$n_failed" -ne 0 ]; then
		tail -n 60 "$log" >&2
		grep -E '^not ok |^test .* FAILED' "$log" | head -n 40 >&2 || :
		note+="; all of it: $log"
	fi
	if [ "$n_skipped" -ne 0 ]; then grep -iE '^(not )?ok .*# SKIP' "$log" | sed 's/^/    /' >&2 || :; fi
	if [ -n "$single" ]; then
		say "    $name: $([ "$rc" -eq 0 ] && echo ok || echo FAILED), $((SECONDS - start)) s$note"
	else
		say "    $name: $n_passed passed, $n_failed failed, $n_skipped skipped, $((SECONDS - start)) s$note"
	fi
	[ "$n_failed" -eq 0 ]
}

# skip NAME REASON: a phase that this machine can not run and does not have to.
skip() {
	skipped=$((skipped + 1))
	say "==> $1: skipped: $2"
}

# wanted NAME PATTERN...: whether NAME was asked for: no pattern, or one it starts with.
wanted() {
	local name=$1 pattern
	shift
	[ $# -gt 0 ] || return 0
	for pattern; do
		case $name in "$pattern"*) return 0 ;; esac
	done
	return 1
}

# closing: the last line, and the status to exit with.
closing() {
	say "    everything: $((SECONDS - phases_started)) s"
	printf '%s passed, %s failed%s\n' "$passed" "$failed" \
		"$([ "$skipped" -eq 0 ] || printf ', %s skipped' "$skipped")"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# The machine's own cargo when it is new enough, otherwise the one in the Debian root. Objects and
# crates go to the cache.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/cargo-target}
CARGO_FLOOR=1.85

# Our crates have the same names in each checkout, and cargo takes what was built from another one's
# sources for what it would build. So what is there of another checkout is thrown away; the crates
# from elsewhere stay.
own_objects() {
	local dir
	for dir in "$CARGO_TARGET_DIR" "$CARGO_TARGET_DIR-root"; do
		[ -d "$dir" ] || continue
		[ "$(cat "$dir/checkout" 2>/dev/null)" = "$REPO" ] && continue
		find "$dir" -type d \( -path '*/.fingerprint/*' -o -path '*/incremental/*' \) -prune \
			\( -name 'error-*' -o -name 'env-*' -o -name 'format-*' -o -name 'algo-*' -o -name 'sim-*' \
			-o -name 'model-*' -o -name 'fuzz-*' \) -exec rm -rf {} +
		printf '%s\n' "$REPO" >"$dir/checkout"
	done
}
own_objects

host_cargo() {
	local have
	have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || have=
	if [ -n "$have" ] && printf '%s\n%s\n' "$CARGO_FLOOR" "$have" | sort -VC; then
		(cd "$REPO/tests/host" && cargo "$@")
	else
		root_cargo "$@"
	fi
}

# The cargo in the Debian root, which has the LLVM tools that go with it.
root_cargo() {
	trust_certificates
	CARGO_HOME=$CACHE/cargo-home CARGO_TARGET_DIR=$CARGO_TARGET_DIR-root \
		"$REPO/scripts/env" run -- sh -c 'cd "$1/tests/host" && shift && cargo "$@"' sh "$REPO" "$@"
}

# The same for rustfmt.
host_rustfmt() {
	if command -v rustfmt >/dev/null; then rustfmt "$@"; else "$REPO/scripts/env" run -- rustfmt "$@"; fi
}
