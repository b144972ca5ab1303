# Runs in the guest: a C project with a configure script is unpacked, configured and made in the mount. What comes out must be
# what comes out on the guest's own file system, at the same path. SOURCE: its archive.
mkdir -p /build
build() { # directory that is to be seen as /build
  local began=$SECONDS
  mkdir -p "$1" && mount --bind "$1" /build && mkdir /build/project && cd /build/project || return 1
  tar xf "/t/$SOURCE" --strip-components=1 || return 1
  ./configure CC=tcc CFLAGS=-O1 >configure.log 2>&1 || { tail -20 configure.log; return 1; }
  # tcc takes the attribute that configure asks for, and then does not link what has it.
  sed -i '/^#define HAVE_ALIAS_ATTRIBUTE/d' config.h
  make -j2 >make.log 2>&1 || { tail -20 make.log; return 1; }
  make -s -n | grep -q ' -c ' && { echo "make finds something to do the second time"; return 1; }
  echo "BUILT $1 in $((SECONDS - began)) s: $(find . -type f | wc -l) files, $(find . -name '*.o' | wc -l) objects"
  cd / && umount /build
}
build /mnt/nfs/build || fail "building in the mount"
build /tmp/build || fail "building on the guest's own file system"
# The client's cache must not be what is compared.
sync && echo 3 >/proc/sys/vm/drop_caches
cd /tmp/build/project
find . -type f ! -name '*.log' | sort | while read -r file; do
  cmp "$file" "/mnt/nfs/build/project/$file" || echo "DIFFERENT $file"
done >/tmp/differences 2>&1
[ -s /tmp/differences ] && { head /tmp/differences; fail "what was built in the mount is not what was built elsewhere"; }
[ "$(/mnt/nfs/build/project/src/dash -c 'echo $((6 * 7))')" = 42 ] || fail "what was built runs"
cd /mnt/nfs/build/project && make clean >/dev/null && [ "$(find . -name '*.o' | wc -l)" = 0 ] || fail "make clean"
cd / && rm -r /mnt/nfs/build && [ ! -e /mnt/nfs/build ] || fail "rm -r"
echo "BUILD ENDS"
