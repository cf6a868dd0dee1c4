# What walseal is measured beside: from Debian's packages, unpacked into .cache/peers together with the libraries that
# they need, so that nothing on the machine changes. Sourced by bash after setup.sh, with `root` set to the checkout.
# What can't be had is named, and the measurement goes on without it.

# The suite of Debian with a pgBackRest of 2.60 or later.
PGBACKREST_SUITE=sid
# What pgBackRest links to, and patchelf, which makes it run by the C library that it was built for.
PGBACKREST_LIBRARIES='libbz2-1.0 libgcc-s1 liblz4-1 libpq5 libssh2-1t64 libssl3t64 libstdc++6 libsystemd0 libxml2-16
  libzstd1 zlib1g'

# barman-cloud is Python: it brings its own.
BARMAN_SUITE=sid
BARMAN_PACKAGES='barman-cli-cloud python3-zstandard'
BARMAN_PROGRAMS='barman-cloud-wal-archive barman-cloud-wal-restore'

# install_peers PEER...: of pgbackrest and barman.
install_peers() {
  local peer peers
  mkdir -p "$root/.cache/peers"
  # The real path: it becomes part of the programs.
  peers=$(cd "$root/.cache/peers" && pwd -P)
  for peer in "$@"; do
    "${peer}_works" "$peers/$peer" || install_peer "$peer" "$peers"
  done
}

# install_peer PEER PEERS
install_peer() {
  local work
  say "bringing $1 of Debian's sid into .cache/peers"
  work=$(mktemp -d "$2/new-XXXXXX")
  if "download_$1" "$work" && "lay_out_$1" "$2/$1" "$work" && "$1_works" "$2/$1"; then
    :
  else
    say "$1 can't be had here: it is left out"
  fi
  rm -rf "$work"
}

# pgbackrest_works HOME: 2.60 or later.
pgbackrest_works() {
  case $("$1/bin/pgbackrest" version 2>/dev/null) in
  'pgBackRest 2.'[6-9][0-9]*) ;;
  *) return 1 ;;
  esac
}

# barman_works HOME
barman_works() {
  local program
  for program in $BARMAN_PROGRAMS; do
    "$1/bin/$program" --version >/dev/null 2>&1 || return
  done
}

download_pgbackrest() {
  download_debian "$PGBACKREST_SUITE" "$1" "$PGBACKREST_LIBRARIES" 'pgbackrest patchelf'
}

download_barman() {
  download_debian "$BARMAN_SUITE" "$1" "$BARMAN_PACKAGES" ''
}

# download_debian SUITE WORK WITH_ALL ALONE: packages as files, with all that they depend on, and others alone.
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
  [ -z "$4" ] || (cd "$apt/archives" && private_apt "$apt" download $4)
}

# unpack_debian WORK: all that was downloaded, into WORK/root.
unpack_debian() {
  local package
  mkdir -p "$1/root"
  for package in "$1"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$1/root" || return
  done
}

# lay_out_pgbackrest HOME WORK: HOME/bin/pgbackrest, and HOME/lib. It starts itself anew for what it does in the background, so
# the program itself names the loader, and not a wrapper round it.
lay_out_pgbackrest() {
  local loader
  rm -rf "$1"
  mkdir -p "$1/bin" "$1/lib"
  unpack_debian "$2" || return
  find "$2/root" -path '*-linux-gnu/*.so*' ! -path '*-linux-gnu/*/*' -exec cp -a '{}' "$1/lib" ';'
  loader=$(find "$1/lib" -name 'ld-linux*.so.*' | head -n 1)
  [ -n "$loader" ] || return
  "$loader" --library-path "$1/lib" "$2/root/usr/bin/patchelf" --set-interpreter "$loader" \
    --force-rpath --set-rpath "$1/lib" --output "$1/bin/pgbackrest" "$2/root/usr/bin/pgbackrest" &&
    chmod 755 "$1/bin/pgbackrest"
}

# lay_out_barman HOME WORK: HOME/bin with a script for each program, and HOME/usr, compiled as the packages would do it.
lay_out_barman() {
  local loader libraries program
  rm -rf "$1"
  mkdir -p "$1/bin"
  unpack_debian "$2" && mv "$2/root/usr" "$1/usr" && rm -rf "$1/usr/share" || return
  loader=$(find "$1"/usr/lib/*-linux-gnu -name 'ld-linux*.so.*' | head -n 1)
  [ -n "$loader" ] || return
  libraries=${loader%/*}
  for program in $BARMAN_PROGRAMS; do
    printf '%s\n' '#!/bin/sh' "PYTHONHOME=$1/usr exec $loader --library-path $libraries $1/usr/bin/python3 \\" \
      "  $1/usr/bin/$program \"\$@\"" >"$1/bin/$program"
    chmod 755 "$1/bin/$program"
  done
  PYTHONHOME=$1/usr "$loader" --library-path "$libraries" "$1/usr/bin/python3" -m compileall -q \
    "$1"/usr/lib/python3* >/dev/null 2>&1 || true
}
