#!/bin/sh
# Exits with 0 if the server in this container answers PING; it may ask for a password.
#
# Where it listens is told by the title of its process, "damselfly <address>:<port>" or "damselfly <socket>", unless
# DAMSELFLY_HEALTHCHECK_PORT names a port. A port that does not answer without TLS is asked with it; since the server logs the
# first try, DAMSELFLY_HEALTHCHECK_TLS=yes leaves it out. If the server wants a certificate, it closes the connection, and lives.
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

# Prints what the server answers to PING.
ping() {
  case "$address" in
    /*) timeout 2 redis-cli -s "$address" ping 2>&1 || true ;;
    *) timeout 2 redis-cli -p "${address##*:}" "$@" ping 2>&1 || true ;;
  esac
}

address=${address:-:6379}
if [ "${DAMSELFLY_HEALTHCHECK_TLS:-no}" = no ]; then
  case "$(ping)" in
    PONG* | *NOAUTH*) exit 0 ;;
    # Closed without an answer.
    Error:*) ;;
    *) exit 1 ;;
  esac
fi
case "$(ping --tls --insecure)" in
  PONG* | *NOAUTH* | *'closed the connection'* | *'reset by peer'*) exit 0 ;;
  *) exit 1 ;;
esac
