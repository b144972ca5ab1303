#!/bin/bash
# Runs in the guest: does what the test says, one command after the other (guest-shell.ts). Arguments are set in front of it by
# the test: HOST, AGENT_PORT. A command is a line `NUMBER BASE64`, its answer `NUMBER EXIT-CODE BASE64`.
export PATH="/usr/local/sbin:/usr/local/bin:$PATH"
exec 3<>"/dev/tcp/$HOST/$AGENT_PORT" || exit 1
while read -r number command <&3; do
  # What runs on in the background must not hold the line open.
  base64 -d <<<"$command" | bash >/run/agent-output 2>&1 3>&-
  code=$?
  echo "$number $code $(base64 -w0 /run/agent-output)" >&3
done
exit 0
