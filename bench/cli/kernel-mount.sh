# In the guest: MIB, ROUNDS, OPTIONS, SOURCE and URL are set. Prints TOOK WORK WAY SECONDS.
set -e
export PATH="/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
echo "KERNEL $(uname -r)"
mkdir -p /mnt/nfs /run/ram
mount -t tmpfs -o "size=$((MIB + 16))m" none /run/ram
mount -t nfs -o "$OPTIONS" "$SOURCE" /mnt/nfs
dd if=/dev/urandom of=/run/ram/one bs=1M count=4 2> /dev/null
n=0
while [ $n -lt "$MIB" ]; do
  cat /run/ram/one
  n=$((n + 4))
done > /run/ram/large
took() { # work, way, command...
  local what="$1 $2" begun
  shift 2
  begun=$(date +%s.%N)
  "$@" 2> /run/ram/said
  echo "TOOK $what $(date +%s.%N | awk -v begun="$begun" '{print $1 - begun}')"
}
said() { # work: what the command says of itself
  local seconds
  seconds=$(sed -n 's/.* in \([0-9.]*\) s.*/\1/p' /run/ram/said)
  echo "TOOK $1 filerpair-said $seconds"
}
mounted() {
  took up mount cp /run/ram/large "/mnt/nfs/large-$1"
  # What the kernel remembers of the file would come from memory.
  echo 3 > /proc/sys/vm/drop_caches
  took down mount cp "/mnt/nfs/large-$1" /dev/null
  rm "/mnt/nfs/large-$1"
}
filerpairs() {
  took up filerpair filerpair cp /run/ram/large "$URL/large-$1?alone"
  said up
  took down filerpair filerpair cp "$URL/large-$1?alone" /dev/null
  said down
  # The kernel may remember that the name was not there.
  rm -f "/mnt/nfs/large-$1"
}
round=0
while [ $round -lt "$ROUNDS" ]; do
  if [ $((round % 2)) = 0 ]; then mounted $round; filerpairs $round; else filerpairs $round; mounted $round; fi
  round=$((round + 1))
done
umount /mnt/nfs
