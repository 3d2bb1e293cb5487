# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
#
# Booting a guest; the second half of scripts/guest, whose variables it uses.
#
# Both kinds of guest have the same root: the Debian root under a layer of memory, with /src,
# /out, /images and /guest (this run's files) bound into it. User Mode Linux sees it through
# hostfs, QEMU through virtiofs, which Debian's cloud kernel has built in: no initramfs, no copies.

# What a kernel that has found a mistake in itself prints.
COMPLAINTS='WARNING: |BUG: |BUG at|Oops|KASAN|UBSAN|Kernel panic|general protection fault'
COMPLAINTS+='|INFO: task .* blocked|possible (recursive|circular) locking|suspicious RCU'
COMPLAINTS+='|Unable to handle|Segfault with no mm|rust_kernel: panicked|unreferenced object'
COMPLAINTS+='|sleeping function called from invalid context|detected stalls?|Bad page state'
COMPLAINTS+='|ODEBUG|inconsistent lock state|DEBUG_LOCKS_WARN_ON|list_(add|del) corruption'

# guest_run CMD...: CMD inside the root, with the time limit. Nothing of it is left afterwards,
# whoever dies first: every link of the chain is killed when its parent goes, and the last one
# is the first process of a process namespace, so that a guest that has left its process group
# (User Mode Linux does) goes with it.
guest_run() {
	local binds_env
	binds_env=$(printf '%s\n' "${binds[@]}" | grep -vx -e -b)
	IN_ROOT_NO_CACHE=1 IN_ROOT_BINDS=$binds_env \
		setpriv --pdeathsig KILL timeout --foreground -s KILL "$limit" \
		setpriv --pdeathsig KILL unshare -m -p -f --kill-child=KILL --propagation private \
		bash "$REPO/scripts/lib/enter-root.sh" "$ROOT" bash /guest/enter "$@"
}

# bind_disks BEFORE: bind the images to /guest/diskN and tell the command their devices, BEFOREa, ...
bind_disks() {
	local i disk letters=abcdefghijklmnop mode
	for i in "${!disks[@]}"; do
		disk=${disks[i]%:ro}
		mode=
		[ "$disk" = "${disks[i]}" ] || mode=:ro
		[ -e "$disk" ] || die "no such disk image: $disk"
		binds+=(-b "$(readlink -f "$disk"):/guest/disk$i$mode")
		setting "DISK$i" "$1${letters:i:1}"
	done
}

boot_uml() {
	local i args=()
	setting CONSOLE_OUT /dev/ttyS0
	setting CONSOLE_ERR /dev/ttyS1
	binds+=(-b "$kernel/linux:/guest/linux:ro")
	bind_disks /dev/ubd
	for i in "${!disks[@]}"; do
		case ${disks[i]} in
		*:ro) args+=("ubd${i}r=/guest/disk$i") ;;
		*) args+=("ubd$i=/guest/disk$i") ;;
		esac
	done
	# 6.12 catches system calls with ptrace(2), and knows no other way; uml-up is to be like it.
	case $kind in c612 | uml-up) ;; *) args+=(seccomp=on "ncpus=${cpus:-1}") ;; esac
	# The kernel's messages go to descriptor 1; the command's output to 3 and 4.
	[ "${cpus:-1}" -gt 1 ] || pin
	guest_run /guest/linux "mem=${GUEST_MEM:-1G}" root=/dev/root rootfstype=hostfs rootflags=/ rw \
		init=/guest/init con=null con0=null,fd:1 ssl=null ssl0=null,fd:3 ssl1=null,fd:4 \
		panic=-1 loglevel=8 random.trust_cpu=on "${args[@]}" "${kernel_args[@]}" \
		>"$log" 2>&1 </dev/null
}

# User Mode Linux runs several times faster when it stays on one processor. Take one that no
# other guest has, if there is one.
pin() {
	local cpu fd
	for ((cpu = $(nproc) - 1; cpu > 0; cpu--)); do
		exec {fd}>"$CACHE/lock/cpu$cpu"
		! flock -n "$fd" || break
		exec {fd}>&-
	done
	taskset -pc "$cpu" "$BASHPID" >/dev/null
}

# build_boot OUT: the stock kernel's modules as a guest needs them: uncompressed, so that depmod
# and modprobe are quick, and without the drivers of hardware that the guest does not have.
build_boot() {
	local out=$1 file from=$kernel/image/usr/lib/modules/$RELEASE
	mkdir "$out/modules"
	for file in "$from"/modules.*; do
		[ ! -e "$file" ] || cp "$file" "$out/modules/"
	done
	cp -r "$from/kernel" "$out/modules/kernel"
	rm -rf "$out"/modules/kernel/{net,sound,drivers/{net,gpu,infiniband,media,staging,usb,hid,iio,scsi}}
	find "$out/modules/kernel" -name '*.ko.xz' -print0 | xargs -0 -r -P "$JOBS" -n 50 xz -d
}

boot_modules() { cached boot "$(key_of "$(basename "$kernel")" "$(declare -f build_boot)")" build_boot; }

boot_stock() {
	local args=() i mode
	setting CONSOLE_OUT /dev/ttyS1
	setting CONSOLE_ERR /dev/ttyS2
	setting STOCK_RELEASE "$RELEASE"
	binds+=(-b "$run:/guest/run")
	if [ -n "$own_root" ]; then
		setting OWN_ROOT /root-of-its-own
		binds+=(-b "$own_root:/root-of-its-own" -b "$own_root/boot/vmlinuz-$RELEASE:/guest/vmlinuz:ro")
		binds+=(-b "$src:/root-of-its-own/src:ro" -b "$out:/root-of-its-own/out")
		binds+=(-b "$run/guest:/root-of-its-own/guest")
	else
		binds+=(-b "$boot/modules:/guest/modules:ro")
		binds+=(-b "$kernel/image/usr/lib/modules/$RELEASE/vmlinuz:/guest/vmlinuz:ro")
	fi
	bind_disks /dev/vd
	for i in "${!disks[@]}"; do
		mode=off
		case ${disks[i]} in *:ro) mode=on ;; esac
		args+=(-drive "if=none,id=d$i,format=raw,file=/guest/disk$i,read-only=$mode,discard=unmap"
			-device "virtio-blk-pci,drive=d$i")
	done
	# Without hardware virtualization: an old processor model, as emulated wide vectors are slow; and
	# on a busy machine the timer may be late when the kernel checks that it works.
	guest_run qemu-system-x86_64 -machine q35,memory-backend=memory \
		-object "memory-backend-memfd,id=memory,size=${GUEST_MEM:-1G},share=on" -m "${GUEST_MEM:-1G}" \
		-accel tcg,thread=multi -smp "${cpus:-2}" -cpu Nehalem \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel /guest/vmlinuz \
		-append "root=root rootfstype=virtiofs rw init=/guest/init console=ttyS0 mitigations=off \
no_timer_check panic=-1 loglevel=8 random.trust_cpu=on ${kernel_args[*]}" \
		-chardev socket,id=root,path=/tmp/virtiofsd -device vhost-user-fs-pci,chardev=root,tag=root \
		-chardev file,id=log,path=/guest/run/log,append=on -serial chardev:log \
		-chardev file,id=out,path=/dev/fd/3 -serial chardev:out \
		-chardev file,id=err,path=/dev/fd/4 -serial chardev:err \
		"${args[@]}" >"$run/qemu" 2>&1 </dev/null
}
