# pg_basebackup, pg_combinebackup, pg_resetwal and pg_rewind, which the servers of npm come without: from Debian's packages,
# unpacked into .cache/pg-clients/<version> together with the libraries that they need, so that nothing on the machine changes.
# Sourced by bash after setup.sh, with `root` set to the checkout.

# Each with the suite of Debian that has it; 14 and 16 are in none. A newer pg_basebackup speaks to older servers, so 18
# serves for all of them; the others work on data of their own version alone.
PG_CLIENTS='13=bullseye 15=bookworm 17=trixie 18=sid'
# What pg_basebackup links to. libpq5 brings the others, down to the C library.
PG_CLIENT_LIBRARIES='libpq5 liblz4-1 libzstd1 zlib1g'

# pg_client_programs VERSION
pg_client_programs() {
  case $1 in
  17 | 18) echo pg_basebackup pg_combinebackup pg_resetwal pg_rewind ;;
  *) echo pg_resetwal pg_rewind ;;
  esac
}

# Once for each version; any user may, as apt and dpkg are given directories of their own.
install_pg_clients() {
  local pair
  for pair in $PG_CLIENTS; do
    pg_client_works "$root/.cache/pg-clients/${pair%%=*}" "${pair%%=*}" || install_pg_client "${pair%%=*}" "${pair#*=}"
  done
}

# pg_client_works HOME VERSION
pg_client_works() {
  local program
  for program in $(pg_client_programs "$2"); do
    case $("$1/bin/$program" --version 2>/dev/null) in
    "$program (PostgreSQL) $2"[.a-z]*) ;;
    *) return 1 ;;
    esac
  done
}

# install_pg_client VERSION SUITE
install_pg_client() {
  local home=$root/.cache/pg-clients/$1 work
  say "bringing programs of postgresql-$1 of Debian's $2 into .cache/pg-clients"
  mkdir -p "$root/.cache/pg-clients"
  work=$(mktemp -d "$root/.cache/pg-clients/new-XXXXXX")
  if download_pg_client "$1" "$2" "$work" && lay_out_pg_client "$1" "$work" && pg_client_works "$work/client" "$1"; then
    rm -rf "$home"
    mv "$work/client" "$home"
  else
    say "there is no $(pg_client_programs "$1" | sed 's/ /, /g') of $1: Debian has them in postgresql-$1 and postgresql-client-$1 of $2"
    # Debian 11 is at its end: the day that mirrors drop it must stop nobody.
    if [ "$1" = 13 ]; then say 'tests that need it are skipped'; else may_skip; fi
  fi
  rm -rf "$work"
}

# download_pg_client VERSION SUITE WORK: the packages as files, for a machine on which nothing is installed.
download_pg_client() {
  local mirror apt=$3/apt
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return
  mirror=$(debian_mirror) && [ -n "$mirror" ] || return
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : >"$apt/status"
  printf 'deb %s %s main\n' "$mirror" "$2" >"$apt/sources.list"
  private_apt "$apt" update || return
  # shellcheck disable=SC2086 # a list of words
  private_apt "$apt" install --yes --no-install-recommends --download-only $PG_CLIENT_LIBRARIES || return
  # Without what it depends on: Debian's wrappers, and Perl for them.
  (cd "$apt/archives" && private_apt "$apt" download "postgresql-client-$1" "postgresql-$1")
}

# The mirror that this machine's apt is set up with, where it is a Debian.
debian_mirror() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || return
  apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 == "main" && !found { print $3; found = 1 }'
}

# private_apt DIRECTORY ARGUMENT...: apt-get that knows that source alone, and keeps everything in the directory.
private_apt() {
  local apt=$1
  shift
  apt_get -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o Dir::Log="$apt" \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o APT::Sandbox::User="$(id -un)" "$@"
}

# lay_out_pg_client VERSION WORK: makes WORK/client, with bin/ (what is run), lib/ and libexec/ (the programs themselves).
lay_out_pg_client() {
  local package program loader client=$2/client
  mkdir -p "$2/root" "$client/bin" "$client/lib" "$client/libexec"
  for package in "$2"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$2/root" || return
  done
  find "$2/root" -path '*-linux-gnu/*.so*' ! -path '*-linux-gnu/*/*' -exec cp -a '{}' "$client/lib" ';'
  loader=$(basename "$(find "$client/lib" -name 'ld-linux*.so.*' | head -n 1)")
  [ -n "$loader" ] || return
  for program in $(pg_client_programs "$1"); do
    cp "$2/root/usr/lib/postgresql/$1/bin/$program" "$client/libexec" || return
    # By the loader of that Debian: this machine's C library may be older, or another one.
    printf '%s\n' '#!/bin/sh' 'client=${0%/*}/..' \
      "exec \"\$client/lib/$loader\" --library-path \"\$client/lib\" \"\$client/libexec/$program\" \"\$@\"" \
      >"$client/bin/$program"
    chmod 755 "$client/bin/$program"
  done
}
