# shellcheck shell=bash disable=SC2034
# Shared by tests/run, tests/servers and tests/bench/run: places, accounts, waiting. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
# Whatever is fetched once and used by every later run.
TOOLS=${RSQOOP_TEST_CACHE:-$TARGET/test-tools}
VENV=$TOOLS/venv
MYSQL_ROOT=$TOOLS/mysql

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Database servers refuse to run as root, so root starts them under an account that owns nothing.
SERVER_ACCOUNT=nobody
AS_SERVER=()
if [ "$(id -u)" = 0 ]; then
  AS_SERVER=(setpriv "--reuid=$SERVER_ACCOUNT" "--regid=$(id -g "$SERVER_ACCOUNT")" --clear-groups)
fi

# server_folder PATH: an empty folder that belongs to the servers' account
server_folder() {
  mkdir -p "$1"
  [ "$(id -u)" != 0 ] || chown "$SERVER_ACCOUNT" "$1"
  chmod 755 "$1"
}

# free_port: a loopback port nobody listens on, found by binding it
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

random_word() { od -An -N8 -tx1 /dev/urandom | tr -d ' \n'; }

# wait_for SECONDS PID COMMAND...: until COMMAND succeeds; fails at once when process PID has ended
wait_for() {
  local end=$((SECONDS + $1)) pid=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || return 1
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# await_end PID SECONDS: waits for a process that was told to end, and kills it when the time is over
await_end() {
  local pid=$1 end=$((SECONDS + $2))
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$end" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      return 0
    fi
    sleep 0.05
  done
}

# postgres_bin: the folder of the newest PostgreSQL server programs
postgres_bin() {
  local found
  found=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
  [ -x "$found/postgres" ] || die "no PostgreSQL server under /usr/lib/postgresql"
  printf '%s\n' "$found"
}

# mysql_program PROGRAM: sets MYSQL_RUN to the words that run a program of the unpacked MySQL.
# It was built against a newer libc than this system's, so its own loader starts it.
mysql_program() {
  local libraries loader
  libraries=$MYSQL_ROOT/usr/lib/$(uname -m)-linux-gnu
  loader=$(find "$libraries" -maxdepth 1 -name 'ld-linux-*.so.*' | head -1)
  MYSQL_RUN=("$loader" --library-path "$libraries" "$MYSQL_ROOT/usr/$1")
}
