#!/bin/sh
# confined.sh VOLUME CANARY COMMAND...
# Runs COMMAND in a mount namespace in which everything is read-only but VOLUME. Needs root. Refuses to run it if the
# directory CANARY can be written to nevertheless.
set -eu
volume=$1 canary=$2
shift 2
if [ "${CONFINED:-}" != yes ]; then
  exec env CONFINED=yes unshare --mount --propagation private "$0" "$volume" "$canary" "$@"
fi
mount --bind "$volume" "$volume"
# Deepest first: what lies below a mount point is a mount of its own. Those that can't be changed (proc, for a start)
# don't matter, as the check below says.
awk '{ print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do
  [ "$point" = "$volume" ] || mount -o remount,bind,ro "$point" 2>/dev/null || true
done
if (: >"$canary/written") 2>/dev/null; then
  echo "confined.sh: $canary can be written to" >&2
  exit 70
fi
if ! (: >"$volume/written" && rm "$volume/written") 2>/dev/null; then
  echo "confined.sh: $volume can't be written to" >&2
  exit 70
fi
exec "$@"
