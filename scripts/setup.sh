#!/usr/bin/env bash
# Installs the packages of the lock file, Node 24 among them, so that any Node from 20 on is enough to start. Every file comes
# with a hash in the lock file, and no package runs a script (.npmrc says that too; here it is for older copies of it).
# Does nothing when they are there already: the stamp holds the lock file's checksum.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=node_modules/.filerpair-lock
wanted=$(cksum < package-lock.json)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

if ! command -v npm > /dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null 2>&1; then
    echo "setup: installing Node.js and npm from this system's packages"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm > /dev/null
  else
    echo "setup: npm is missing. Install Node.js 20 or newer with npm (https://nodejs.org), then run this again." >&2
    exit 1
  fi
fi

started=$SECONDS
echo "setup: installing packages (Node 24, TypeScript and the test tools; about 500 MB in node_modules)"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
version=$(node_modules/.bin/node --version 2> /dev/null || echo none)
case $version in
  v24.*) ;;
  *)
    echo "setup: the package \"node-linux-...\" brought $version, not Node 24. Is there a Node 24 package for $(uname -sm)?" >&2
    exit 1
    ;;
esac
echo "$wanted" > "$stamp"
echo "setup: done in $((SECONDS - started)) s, Node $version"
