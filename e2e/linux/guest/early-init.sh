#!/bin/sh
# First program of the guest: loads what is needed to mount the root file system, and goes there.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules); do insmod "/lib/modules/$module" || echo "cannot load $module"; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -t ext4 -o rw,noatime /dev/vda /mnt || { echo "no root file system"; poweroff -f; }
mount --move /dev /mnt/dev
umount /sys
umount /proc
exec switch_root /mnt /guest-init
