#!/usr/bin/env bash
# Both README commands pass in any directory, as root or not. In copies of this checkout below a directory of mode 0700, the demo
# and the tests that start programs of another user run as they are, and as an ordinary user. Started by root this takes the user
# "nobody"; started by an ordinary user, that user alone.
set -euo pipefail
cd "$(dirname "$0")/.."

nobody=65534
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

copy() { # to: what is committed or would be, and the packages, hard-linked where that is possible
  mkdir -m 0700 -p "$1/checkout"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1/checkout"
  cp -al node_modules "$1/checkout/" 2> /dev/null || cp -a node_modules "$1/checkout/"
}

run() { # what, where, command...
  local what=$1 where=$2 started=$SECONDS
  shift 2
  if ! (cd "$where/checkout" && "$@") > "out/anywhere.log" 2>&1; then
    cat out/anywhere.log
    echo "FAILED: $what"
    return 1
  fi
  echo "$what: passed in $((SECONDS - started)) s"
}

mkdir -p out
tests=(npx vitest run --configLoader runner)
copy "$directory/private"
run "below a private directory, make demo" "$directory/private" make demo
run "below a private directory, tests that change the user" "$directory/private" \
  "${tests[@]}" fileserver/data-path/unprivileged.test.ts
# What a contributor types first, as HACKING.md has it.
for command in "make files IN=fileserver/nfs3" "vitest run pair/claim.test.ts -t 'paired Lease'" \
  "node simulation/main.ts --seed 4711 --faults all"; do
  grep -qF "$command" HACKING.md || { echo "FAILED: HACKING.md does not have: $command"; exit 1; }
  run "as a contributor, $command" "$directory/private" bash -c "PATH=\$PWD/node_modules/.bin:\$PATH; $command"
done
if [ "$(id -u)" = 0 ]; then
  copy "$directory/user"
  chmod 0711 "$directory"
  chown "$nobody:$nobody" "$directory/user"
  find "$directory/user/checkout" -path '*/node_modules' -prune -o -exec chown "$nobody:$nobody" {} +
  as=(setpriv --reuid "$nobody" --regid "$nobody" --clear-groups env HOME="$directory/user"
    NODE_COMPILE_CACHE="$directory/user/compiled")
  run "as an ordinary user, make demo" "$directory/user" "${as[@]}" make demo
  # Without those that take long and do the same for each user.
  run "as an ordinary user, tests of the file server" "$directory/user" \
    "${as[@]}" "${tests[@]}" fileserver/data-path fileserver/rpc fileserver/threads fileserver/main.test.ts \
    --exclude '**/right-cut.test.ts' --exclude '**/hostile.test.ts' --exclude '**/crowd.test.ts'
fi
