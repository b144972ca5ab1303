#!/bin/sh
# The client in the image of the file server.
exec node /app/dist/client/cli/main.js "$@"
