#!/bin/bash
# build.sh DIRECTORY DEBIAN PACKAGES EARLY_MODULES MODULES
# Fills DIRECTORY with vmlinuz, initrd.gz and root.ext4 of a guest. The lists are explained in guest-image.ts.
set -euo pipefail
into=$1 debian=$2 packages=$3 early_modules=$4 modules=$5
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The kernel: from its package, without installing it. Of the guest's release, so it may be another than this machine's.
mmdebstrap --quiet --mode=root --variant=extract --include=linux-image-cloud-amd64 "$debian" kernel
[ -d kernel/lib/modules ] || { rm -rf kernel/lib; ln -s usr/lib kernel/lib; }
version=$(ls kernel/lib/modules)
cp kernel/boot/vmlinuz-* "$into/vmlinuz"
[ -e "kernel/lib/modules/$version/modules.dep" ] || depmod -b kernel "$version"

# Files of a module and of all it depends on, in the order of loading.
module_files() {
  modprobe -d "$work/kernel" -S "$version" --show-depends "$1" 2>/dev/null | awk '$1 == "insmod" {print $2}'
}

# The initial RAM disk: busybox, the early modules, and a script that mounts the root.
mkdir -p early/{bin,proc,sys,dev,mnt,lib/modules}
cp /bin/busybox early/bin/busybox
for name in sh mount umount insmod switch_root sleep cat echo mkdir poweroff; do ln -sf busybox early/bin/$name; done
: >early/modules
for module in $early_modules; do
  module_files "$module" | while read -r file; do
    name=$(basename "$file")
    [ -e "early/lib/modules/${name%.xz}" ] && continue
    cp "$file" "early/lib/modules/$name"
    # Busybox loads no compressed ones.
    [ "$name" = "${name%.xz}" ] || xz -d "early/lib/modules/$name"
    echo "${name%.xz}" >>early/modules
  done
done
install -m755 "$here/early-init.sh" early/init
(cd early && find . | cpio -o -H newc --quiet | gzip -6) >"$into/initrd.gz"

# The root file system.
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' "$debian" root
mkdir -p "root/lib/modules/$version"
cp "kernel/lib/modules/$version"/modules.* "root/lib/modules/$version/"
for module in $modules; do module_files "$module"; done | sort -u | while read -r file; do
  install -D -m644 "$file" "root/lib/modules/$version/${file#*"/lib/modules/$version/"}"
done
depmod -b "$work/root" "$version"
echo "$modules" >root/guest-modules
install -m755 "$here/init.sh" root/guest-init
size=$(du -sm root | cut -f1)
truncate -s $((size + size / 4 + 300))M "$into/root.ext4"
# Thrown away after each run: a journal would only be written for nothing.
mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d root "$into/root.ext4"
