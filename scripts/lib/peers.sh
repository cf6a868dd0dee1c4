# What walseal is measured beside: from Debian's packages, unpacked into .cache/peers together with the libraries that
# they need, so that nothing on the machine changes. Sourced by bash after setup.sh, with `root` set to the checkout.
# What can't be had is named, and the measurement goes on without it.

# The suite of Debian with a pgBackRest of 2.60 or later.
PGBACKREST_SUITE=sid
# What pgBackRest links to, and patchelf, which makes it run by the C library that it was built for.
PGBACKREST_LIBRARIES='libbz2-1.0 libgcc-s1 liblz4-1 libpq5 libssh2-1t64 libssl3t64 libstdc++6 libsystemd0 libxml2-16
  libzstd1 zlib1g'

install_peers() {
  local peers
  mkdir -p "$root/.cache/peers"
  # The real path: it becomes part of the program.
  peers=$(cd "$root/.cache/peers" && pwd -P)
  pgbackrest_works "$peers/pgbackrest" || install_pgbackrest "$peers"
}

# pgbackrest_works HOME
pgbackrest_works() {
  case $("$1/bin/pgbackrest" version 2>/dev/null) in
  'pgBackRest '[2-9].[6-9][0-9]*) ;;
  *) return 1 ;;
  esac
}

# install_pgbackrest PEERS
install_pgbackrest() {
  local work
  say "bringing pgbackrest of Debian's $PGBACKREST_SUITE into .cache/peers"
  work=$(mktemp -d "$1/new-XXXXXX")
  if download_debian "$PGBACKREST_SUITE" "$work" "$PGBACKREST_LIBRARIES" 'pgbackrest patchelf' &&
    lay_out_pgbackrest "$1/pgbackrest" "$work" && pgbackrest_works "$1/pgbackrest"; then
    :
  else
    say "there is no pgBackRest 2.60: Debian has it in pgbackrest of $PGBACKREST_SUITE. It is left out"
  fi
  rm -rf "$work"
}

# download_debian SUITE WORK DEPENDENCIES PACKAGES: as files; of the dependencies also what they depend on.
download_debian() {
  local mirror apt=$2/apt
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return
  mirror=$(debian_mirror) && [ -n "$mirror" ] || return
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : >"$apt/status"
  printf 'deb %s %s main\n' "$mirror" "$1" >"$apt/sources.list"
  private_apt "$apt" update || return
  # shellcheck disable=SC2086 # lists of words
  private_apt "$apt" install --yes --no-install-recommends --download-only $3 || return
  # shellcheck disable=SC2086
  (cd "$apt/archives" && private_apt "$apt" download $4)
}

# lay_out_pgbackrest HOME WORK: HOME/bin/pgbackrest, and HOME/lib. It starts itself anew for what it does in the background, so
# the program itself names the loader, and not a wrapper round it.
lay_out_pgbackrest() {
  local package loader
  rm -rf "$1"
  mkdir -p "$2/root" "$1/bin" "$1/lib"
  for package in "$2"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$2/root" || return
  done
  find "$2/root" -path '*-linux-gnu/*.so*' ! -path '*-linux-gnu/*/*' -exec cp -a '{}' "$1/lib" ';'
  loader=$(find "$1/lib" -name 'ld-linux*.so.*' | head -n 1)
  [ -n "$loader" ] || return
  "$loader" --library-path "$1/lib" "$2/root/usr/bin/patchelf" --set-interpreter "$loader" \
    --force-rpath --set-rpath "$1/lib" --output "$1/bin/pgbackrest" "$2/root/usr/bin/pgbackrest" &&
    chmod 755 "$1/bin/pgbackrest"
}
