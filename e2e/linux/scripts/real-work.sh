#!/bin/bash
# Runs in the guest: real work of real programs on an NFS mount. Arguments are set in front of it by the test:
# HOST, PORT, EXPORT. Every check that fails ends it with a sentence.
set -euo pipefail
fail() { echo "FAILED: $*"; exit 1; }

mkdir -p /mnt/nfs
mount -t nfs -o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,hard,noresvport" \
  "$HOST:$EXPORT" /mnt/nfs || fail "mount"
grep -q ' /mnt/nfs nfs .*vers=3' /proc/mounts || fail "not an NFSv3 mount: $(grep /mnt/nfs /proc/mounts)"
echo "MOUNTED $HOST:$EXPORT port $PORT"
mkdir /mnt/nfs/work && cd /mnt/nfs/work

echo "files, links and names"
echo one >first && echo two >>first
[ "$(cat first)" = "$(printf 'one\ntwo')" ] || fail "a file that was appended to reads $(cat first)"
mv first second && [ ! -e first ] && [ -e second ] || fail "rename"
ln second hard && [ "$(stat -c %h second)" = 2 ] || fail "hard link count"
ln -s second soft && [ "$(readlink soft)" = second ] && [ "$(cat soft)" = "$(cat second)" ] || fail "symbolic link"
name=$(printf 'Grüße %s' "$(printf 'x%.0s' $(seq 200))")
echo long >"$name" && [ "$(cat "$name")" = long ] || fail "a long name that is not ASCII"
chmod 640 second && [ "$(stat -c %a second)" = 640 ] || fail "mode"
touch -d '2001-02-03 04:05:06 UTC' second && [ "$(stat -c %Y second)" = 981173106 ] || fail "time"
truncate -s 12345 second && [ "$(stat -c %s second)" = 12345 ] || fail "truncate"
mkfifo pipe && [ -p pipe ] || fail "named pipe"
rm second && [ "$(stat -c %h hard)" = 1 ] || fail "remove"

echo "a file that is removed while it is open"
exec 3<>open-file
echo still here >&3
rm open-file
[ "$(cat /proc/self/fd/3)" = 'still here' ] || fail "an open file lost its content when its name went"
exec 3>&-

echo "a directory with hundreds of names"
mkdir many && (cd many && seq 400 | xargs touch)
[ "$(ls many | wc -l)" = 400 ] || fail "a directory shows $(ls many | wc -l) of 400 names"
[ "$(ls many | sort -un | wc -l)" = 400 ] || fail "a directory shows a name twice"
rm -r many && [ ! -e many ] || fail "remove a directory"

echo "large files"
head -c 8388608 /dev/urandom >/tmp/large
cp /tmp/large large && sync
echo 3 >/proc/sys/vm/drop_caches
cmp /tmp/large large || fail "8 MiB came back changed"
dd if=/dev/zero of=sparse bs=1 count=1 seek=1073741824 conv=notrunc status=none
[ "$(stat -c %s sparse)" = 1073741825 ] || fail "sparse file"

echo "users"
install -d -m 755 -o 1000 -g 1000 private 2>/dev/null || { mkdir private; chmod 777 private; }
setpriv --reuid=1000 --regid=1000 --clear-groups bash -c 'umask 077; echo secret >private/mine'
[ "$(stat -c %u private/mine)" = 1000 ] || fail "a file of user 1000 belongs to $(stat -c %u private/mine)"
if setpriv --reuid=1001 --regid=1001 --clear-groups cat private/mine 2>/dev/null; then fail "user 1001 reads a file of user 1000"; fi

echo "git"
git config --global user.name guest && git config --global user.email guest@example.org
git config --global --add safe.directory '*' && git config --global gc.auto 0
git init -q repository && cd repository
for i in 1 2; do seq "$i" 500 >"file$i"; git add . && git commit -qm "change $i"; done
git checkout -q -b other HEAD~1 && echo other >other && git add . && git commit -qm other && git checkout -q master && git merge -q -m merged other
git gc -q && git fsck --strict --no-progress || fail "git fsck"
[ "$(git log --oneline | wc -l)" = 4 ] || fail "git log"
cd ..

echo "sqlite"
sqlite3 database 'create table t (n integer primary key, s text); begin; with recursive c(n) as (select 1 union all select n+1 from c where n < 1000) insert into t select n, hex(randomblob(20)) from c; commit;'
[ "$(sqlite3 database 'select count(*) from t; pragma integrity_check')" = "$(printf '1000\nok')" ] || fail "sqlite"

echo "tar"
tar cf - repository | tar xf - -C private 2>/dev/null || { mkdir copy; tar cf - repository | tar xf - -C copy; }
diff -r repository "$(ls -d copy/repository private/repository 2>/dev/null | head -1)" || fail "a copied repository"

cd / && umount /mnt/nfs || fail "umount"
echo "REAL WORK DONE"
