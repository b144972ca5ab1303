#!/bin/bash
# Second program of the guest: network, then the script from the second disk, then off.
# The script's output goes to the second serial port, followed by a line "GUEST-RC CODE".
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
for module in $(cat /guest-modules); do modprobe "$module" || echo "cannot load $module"; done
# QEMU's user-mode network: we are .15, the machine that runs QEMU is .2.
ip link set lo up
name=$(ls /sys/class/net | grep -v '^lo$' | head -1)
ip link set "$name" up
ip addr add 10.0.2.15/24 dev "$name"
ip route add default via 10.0.2.2
echo guest >/proc/sys/kernel/hostname
mkdir -p /t
tar xf /dev/vdb -C /t
cd /t
cat >/run/run-script <<'END'
bash ./script >/dev/ttyS1 2>&1
echo "GUEST-RC $?" >/dev/ttyS1
sync
# Off at once, whatever still hangs on a mount; the disk is thrown away.
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
END
[ -e /t/by-systemd ] || exec bash /run/run-script
# Else systemd is the first process, and the script one of its services.
mkdir -p /run/systemd/system
cat >/run/systemd/system/script.service <<END
[Service]
ExecStart=/bin/bash /run/run-script
WorkingDirectory=/t
Environment=PATH=$PATH HOME=$HOME LANG=$LANG
END
exec /lib/systemd/systemd --unit=script.service
