#!/bin/bash
# Installs the programs that tests compare with and drive: redis-server, its tools, tclsh and libfaketime, and
# Python with redis-py and Celery.
# Does nothing where they are present. Where they cannot be installed, tests that need them are
# skipped; with CI=true that is an error, because CI must not pass by skipping.
set -u

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null || missing+=(redis-tools)
command -v tclsh >/dev/null || missing+=(tcl)
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing+=(libfaketime)
ls -d /usr/lib/python3/dist-packages/redis >/dev/null 2>&1 || missing+=(python3-redis)
ls -d /usr/lib/python3/dist-packages/celery >/dev/null 2>&1 || missing+=(python3-celery)
[ ${#missing[@]} -eq 0 ] && exit 0

give_up() {
  echo "install.sh: $1; missing: ${missing[*]}" >&2
  if [ "${CI:-}" = true ]; then exit 1; fi
  echo "install.sh: tests that need them are skipped" >&2
  exit 0
}

command -v apt-get >/dev/null || give_up 'no apt-get here'
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null && sudo -n true 2>/dev/null || give_up 'neither root nor sudo without a password'
  as_root=(sudo -n)
fi

echo "install.sh: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# RUNLEVEL=1 keeps the package from starting a server on port 6379; tests start their own.
run_apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o Acquire::Retries=3 "$@" >>"$log" 2>&1
}
run_apt update && run_apt install -y --no-install-recommends "${missing[@]}" || {
  tail -20 "$log" >&2
  give_up 'apt-get failed'
}
for program in redis-server redis-cli redis-benchmark tclsh; do
  command -v "$program" >/dev/null || give_up "$program is still not on the PATH"
done
