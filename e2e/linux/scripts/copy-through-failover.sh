#!/bin/bash
# Runs in the guest: copies files to an NFS mount while the test kills and restores servers, until the test ends the connection to
# STOP_PORT, and reads them back. Arguments are set in front of it by the test: HOST, PORT, EXPORT, STOP_PORT, SIZE (bytes of a file).
set -euo pipefail
fail() { echo "FAILED: $*"; exit 1; }
# Different contents.
SOURCES=8

mkdir -p /mnt/nfs /tmp/from
mount -t nfs -o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,hard,noresvport" \
  "$HOST:$EXPORT" /mnt/nfs || fail "mount"
for i in $(seq "$SOURCES"); do
  head -c "$SIZE" /dev/urandom >"/tmp/from/$i"
  sums[i]=$(sha256sum <"/tmp/from/$i" | cut -d' ' -f1)
done
mkdir /mnt/nfs/copy
exec 3<>"/dev/tcp/$HOST/$STOP_PORT" || fail "the test does not listen"
echo "COPYING"
# One after the other, each with its rename: the way in which programs replace files. However long the servers take on this machine,
# something is being copied then.
i=0
until read -r -t 0 <&3; do
  i=$((i + 1))
  source=$((i % SOURCES + 1))
  cp "/tmp/from/$source" "/mnt/nfs/copy/$i.part"
  sync "/mnt/nfs/copy/$i.part"
  mv "/mnt/nfs/copy/$i.part" "/mnt/nfs/copy/$i"
  echo "${sums[source]}  $i" >>/tmp/sums
  echo "COPIED $i"
done
echo 3 >/proc/sys/vm/drop_caches
(cd /mnt/nfs/copy && sha256sum --quiet -c /tmp/sums) || fail "checksums"
[ "$(ls /mnt/nfs/copy | wc -l)" = "$i" ] || fail "names left over: $(ls /mnt/nfs/copy)"
echo "CHECKSUMS RIGHT"
umount /mnt/nfs || fail "umount"
