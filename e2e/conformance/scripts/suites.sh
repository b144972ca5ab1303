#!/bin/bash
# Runs in the guest: pjdfstest inside a mount. Arguments are set in front of it: HOST, PORT, EXPORT, PATTERNS (of
# pjdfstest's names; none: all).
set -uo pipefail
mkdir -p /mnt/nfs
mount -t nfs -o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,hard,noresvport" \
  "$HOST:$EXPORT" /mnt/nfs || { echo "FAILED: mount"; exit 1; }
mkdir /mnt/nfs/pjdfstest && chmod 755 /mnt/nfs/pjdfstest
echo "PJDFSTEST BEGINS"
./pjdfstest -c pjdfstest.toml -p /mnt/nfs/pjdfstest $PATTERNS 2>&1
echo "PJDFSTEST ENDS"
umount /mnt/nfs || { echo "FAILED: umount"; exit 1; }
