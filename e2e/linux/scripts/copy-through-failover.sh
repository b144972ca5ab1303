#!/bin/bash
# Runs in the guest: copies files to an NFS mount and back while the test kills and restores servers. Arguments are
# set in front of it by the test: HOST, PORT, EXPORT, FILES (how many), SIZE (bytes of each).
set -euo pipefail
fail() { echo "FAILED: $*"; exit 1; }

mkdir -p /mnt/nfs /tmp/from
mount -t nfs -o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,hard,noresvport" \
  "$HOST:$EXPORT" /mnt/nfs || fail "mount"
for i in $(seq "$FILES"); do head -c "$SIZE" /dev/urandom >"/tmp/from/$i"; done
(cd /tmp/from && sha256sum * >/tmp/sums)
mkdir /mnt/nfs/copy
echo "COPYING"
# One after the other, each with its rename: the way in which programs replace files.
for i in $(seq "$FILES"); do
  cp "/tmp/from/$i" "/mnt/nfs/copy/$i.part"
  sync "/mnt/nfs/copy/$i.part"
  mv "/mnt/nfs/copy/$i.part" "/mnt/nfs/copy/$i"
  echo "COPIED $i"
done
echo 3 >/proc/sys/vm/drop_caches
(cd /mnt/nfs/copy && sha256sum --quiet -c /tmp/sums) || fail "checksums"
[ "$(ls /mnt/nfs/copy | wc -l)" = "$FILES" ] || fail "names left over: $(ls /mnt/nfs/copy)"
echo "CHECKSUMS RIGHT"
umount /mnt/nfs || fail "umount"
