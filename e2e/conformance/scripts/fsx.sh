# Runs in the guest: fsx on two files at once, with one seed after the other until SECONDS_MAX have passed.
# OPERATIONS: with each seed. A line "FSX SEED OPERATIONS ok" for each that found nothing.
mkdir /mnt/nfs/fsx
exercise() { # first seed; every second one from there
  local seed=$1
  while [ $SECONDS -lt "$SECONDS_MAX" ]; do
    local file=/mnt/nfs/fsx/$seed
    # What it says when it finds something: what it expected, what it read, and the operations before that.
    ./fsx -q -f fsx.toml -S "$seed" -N "$OPERATIONS" "$file" >"/tmp/fsx.$seed" 2>&1 ||
      { echo "FSX $seed $OPERATIONS FAILED"; tail -40 "/tmp/fsx.$seed"; return 1; }
    echo "FSX $seed $OPERATIONS ok"
    rm "$file" "/tmp/fsx.$seed"
    seed=$((seed + 2))
  done
}
exercise "$SEED" &
first=$!
exercise $((SEED + 1)) || fail "fsx"
wait $first || fail "fsx"
echo "FSX ENDS"
