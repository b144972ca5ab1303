#!/bin/bash
# Runs in the guest, in front of each script here: mounts the export. Set in front of it: HOST, PORT, EXPORT.
set -uo pipefail
fail() { echo "FAILED: $*"; exit 1; }
mkdir -p /mnt/nfs
mount -t nfs -o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,hard,noresvport" \
  "$HOST:$EXPORT" /mnt/nfs || fail "mount"
trap 'cd / && umount /mnt/nfs || { echo "FAILED: umount"; exit 1; }' EXIT
