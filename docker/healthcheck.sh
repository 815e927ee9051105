#!/bin/sh
# Exits with 0 if the server in this container answers PING; it may ask for a password.
#
# Where it listens is told by the title of its process, "damselfly <address>:<port>" or "damselfly <socket>", unless
# DAMSELFLY_HEALTHCHECK_PORT names a port.
set -eu

address=
if [ -n "${DAMSELFLY_HEALTHCHECK_PORT:-}" ]; then
  address=":$DAMSELFLY_HEALTHCHECK_PORT"
else
  for file in /proc/[0-9]*/cmdline; do
    title=$( (tr '\0' ' ' <"$file") 2>/dev/null) || continue
    case "$title" in
      'damselfly /'* | 'damselfly '*:*) address=${title#damselfly } ;;
    esac
  done
fi
address=${address%% *}

case "$address" in
  /*) reply=$(timeout 2 redis-cli -s "$address" ping 2>&1) || true ;;
  *:*) reply=$(timeout 2 redis-cli -p "${address##*:}" ping 2>&1) || true ;;
  *) reply=$(timeout 2 redis-cli ping 2>&1) || true ;;
esac

case "$reply" in
  PONG* | *NOAUTH*) exit 0 ;;
  *) exit 1 ;;
esac
