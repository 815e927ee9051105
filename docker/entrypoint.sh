#!/bin/sh
# Arguments as the `redis` image takes them: options or a .conf file go to the server, anything else
# is a program to run. The server replaces this shell, so signals reach it.
set -e

case "${1:-}" in
  -* | *.conf) set -- damselfly "$@" ;;
esac

case "${1:-}" in
  damselfly | redis-server | valkey-server) ;;
  *) exec "$@" ;;
esac

# As with Redis, files of the server are for the server only.
umask 0077

# Who can reach the port is up to the container's network, so protected mode is off unless asked for.
shift
case "${1:-}" in
  '' | -*) exec damselfly --protected-mode no "$@" ;;
esac
if grep -qiE '^[[:space:]]*protected-mode[[:space:]]' "$1" 2>/dev/null; then
  exec damselfly "$@"
fi
configuration=$1
shift
exec damselfly "$configuration" --protected-mode no "$@"
