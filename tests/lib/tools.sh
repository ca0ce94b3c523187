# shellcheck shell=bash
# What the tests need beside a Rust toolchain: Debian packages, real MySQL in a folder of its own, and
# Python readers. Every step does nothing when its result is there already. Sourced after common.sh.

# package:program pairs; a package is installed only when its program is missing
readonly APT_NEEDS=(
  gcc:cc git:git openssl:openssl python3:python3 python3-venv:@venv
  postgresql:@postgres mariadb-server:mariadbd mariadb-client:mariadb
  sqlite3:sqlite3 strace:strace tmux:tmux shellcheck:shellcheck
)

have() {
  case $1 in
    @venv) python3 -c 'import ensurepip, venv' ;;
    @postgres) (postgres_bin) && command -v psql ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

missing_packages() {
  local need
  for need in "${APT_NEEDS[@]}"; do
    have "${need#*:}" || printf '%s\n' "${need%%:*}"
  done
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || { say "Debian packages: all there"; return 0; }
  say "Debian packages missing: ${missing[*]}"
  command -v apt-get >/dev/null || die "no apt-get here: install them by hand"
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "not root and no password-less sudo: install the packages above, then run again"
    as_root=(sudo)
  fi
  # RUNLEVEL=1 keeps the packages from starting a server of their own: the tests bring theirs.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] || die "still missing after the install: ${missing[*]}"
}

# debian_mirror: the mirror this system's apt uses, so that no host stands in this file
debian_mirror() {
  if [ -n "${RSQOOP_TEST_DEBIAN_MIRROR:-}" ]; then
    printf '%s\n' "$RSQOOP_TEST_DEBIAN_MIRROR"
    return
  fi
  cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:/ { print $2; exit }
         /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }'
}

# private_apt FOLDER SUITE: an apt that knows only SUITE and believes nothing is installed, so that it
# resolves a package's whole closure, libc included. The system's apt state stays untouched.
private_apt() {
  local apt=$1 mirror file
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "no Debian mirror in apt's sources; name one in RSQOOP_TEST_DEBIAN_MIRROR"
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts}
  : >"$apt/status"
  # Proxies, certificates and date checks hold here too; the hooks of the system's own cache do not.
  for file in /etc/apt/apt.conf.d/*; do
    [ -f "$file" ] || continue
    grep -qE 'Post-Invoke|Pre-Install' "$file" || cp "$file" "$apt/parts/"
  done
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$2" >"$apt/sources"
  cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::parts "$apt/parts";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
}

# fetch_mysql_once FOLDER: downloads MySQL's server and client from Debian sid, unpacks what they need
fetch_mysql_once() {
  local work=$1 deb
  private_apt "$work/apt" sid || return 1
  APT_CONFIG=$work/apt/apt.conf apt-get update -qq || return 1
  APT_CONFIG=$work/apt/apt.conf apt-get install -y -qq --download-only mysql-server-core mysql-client-core || return 1
  mkdir -p "$work/root"
  for deb in "$work"/apt/cache/archives/*.deb; do
    # Perl, documentation and translations come with the closure and are never run.
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" \
      --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' \
      --exclude='./usr/share/perl*' --exclude='*/perl/*' --exclude='./usr/share/i18n*' --exclude='./usr/bin/mysql?*' || return 1
  done
  chmod -R go+rX "$work/root"
}

install_mysql() {
  [ ! -f "$MYSQL_ROOT/.complete" ] || { say "MySQL: $(cat "$MYSQL_ROOT/.complete")"; return 0; }
  local try work=$TOOLS/mysql.partial
  for try in 1 2 3 4; do
    rm -rf "$work" "$MYSQL_ROOT"
    mkdir -p "$work"
    if fetch_mysql_once "$work"; then
      mv "$work/root" "$MYSQL_ROOT"
      rm -rf "$work"
      mysql_program sbin/mysqld
      "${MYSQL_RUN[@]}" --no-defaults --version | tee "$MYSQL_ROOT/.complete.new" || die "the fetched mysqld does not start"
      mv "$MYSQL_ROOT/.complete.new" "$MYSQL_ROOT/.complete"
      return 0
    fi
    say "MySQL could not be fetched from Debian sid (try $try of 4)"
    sleep $((try * 5))
  done
  die "MySQL could not be fetched: the tests need a real MySQL server beside MariaDB"
}

# install_venv FOLDER REQUIREMENTS: a Python environment that holds exactly the pinned packages
install_venv() {
  local venv=$1 wanted=$2
  if [ -x "$venv/bin/python" ] && cmp -s "$wanted" "$venv/installed.txt"; then
    say "Python packages: all there"
    return 0
  fi
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 5 -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
}

install_tools() {
  mkdir -p "$TOOLS"
  install_packages
  install_mysql
  install_venv "$VENV" "$ROOT/tests/lib/requirements.txt"
  say "everything is there"
}
