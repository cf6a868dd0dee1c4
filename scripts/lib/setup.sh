# What the scripts need before they can run TypeScript: sourced by bash, with `root` set to the checkout.

NODE_PACKAGE_VERSION=24.21.0
NODE_MAJOR=22
NODE_MINOR=18

# The servers of the stores that tests run against: built from their sources, as nobody publishes all of them for all
# of our platforms. Each with the oldest Go that its go.mod takes.
MINIO=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_GO=1.24
FAKE_GCS=github.com/fsouza/fake-gcs-server@v1.56.1
FAKE_GCS_GO=1.25.8

say() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

fail() {
  say "$@"
  exit 1
}

# A Node that runs TypeScript as it is: the machine's, or a package of npm's in .cache/node. Puts it first on PATH.
use_current_node() {
  command -v node >/dev/null || fail 'node is not there: install Node.js 20 or later, with npm'
  command -v npm >/dev/null || fail 'npm is not there: it comes with Node.js'
  is_current_node node && return
  local package=node-linux-$(node -p process.arch)
  local home=$root/.cache/node
  local bin=$home/node_modules/$package/bin
  if ! is_current_node "$bin/node"; then
    say "node is $(node --version), older than v$NODE_MAJOR.$NODE_MINOR: installing $package@$NODE_PACKAGE_VERSION into .cache/node"
    mkdir -p "$home"
    [ -e "$home/package.json" ] || printf '{"private":true}\n' >"$home/package.json"
    npm install --no-save --no-audit --no-fund --loglevel=error --prefix "$home" "$package@$NODE_PACKAGE_VERSION" >&2 ||
      fail "cannot install $package: install Node.js $NODE_MAJOR.$NODE_MINOR or later"
    is_current_node "$bin/node" || fail "$bin/node does not run here: install Node.js $NODE_MAJOR.$NODE_MINOR or later"
  fi
  PATH=$bin:$PATH
  export PATH
}

is_current_node() {
  "$1" -e "
    const [major, minor] = process.versions.node.split('.').map(Number);
    process.exit(major > $NODE_MAJOR || (major === $NODE_MAJOR && minor >= $NODE_MINOR) ? 0 : 1);
  " 2>/dev/null
}

# The packages of package-lock.json, where node_modules is not in step with it.
install_packages() {
  node "$root/scripts/lib/installed.ts" && return
  say 'installing the packages of package-lock.json (npm ci)'
  (cd "$root" && npm ci --include=dev --no-audit --no-fund --loglevel=error >&2) || fail 'npm ci failed'
}

# install_debian_packages PROGRAM=PACKAGE...: what is not there is installed where that may be done, and named where not.
install_debian_packages() {
  local pair missing=() packages=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null && continue
    missing+=("${pair%%=*}")
    packages+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing ${packages[*]} (apt-get), for ${missing[*]}"
    apt_get update && apt_get install --yes --no-install-recommends "${packages[@]}" && return
  fi
  say "these programs are not there: ${missing[*]}. Debian has them in: ${packages[*]}"
  may_skip
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet "$@" </dev/null >&2
}

# Into .cache/go/bin, once for each version. The first time takes minutes.
install_store_servers() {
  install_go_program "$FAKE_GCS" "$FAKE_GCS_GO"
  install_go_program "$MINIO" "$MINIO_GO"
}

# install_go_program MODULE@VERSION OLDEST_GO
install_go_program() {
  local name=${1%@*} bin=$root/.cache/go/bin stamp
  name=${name##*/}
  stamp=$root/.cache/go/$name.version
  [ -x "$bin/$name" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$1" ] && return
  # A program of another version would be taken for the right one.
  rm -f "$bin/$name" "$stamp"
  if ! has_go "$2"; then
    say "$name is not there, and cannot be built: that takes Go $2 or later"
    may_skip
    return
  fi
  say "building $1 (go install), which takes minutes the first time"
  mkdir -p "$bin"
  if GOBIN=$bin CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false \
    go install -trimpath -ldflags='-s -w' "$1" >&2; then
    printf '%s' "$1" >"$stamp"
  else
    say "$name cannot be built"
    may_skip
  fi
}

# Whether the Go that is there is at least this one. It is asked to be itself, and to download no other.
has_go() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return
  [ "$(printf '%s\n' "$1" "${version#go}" | sort -V | head -n 1)" = "$1" ]
}

# Something that tests need is not there. Where everything is meant to be, that is the end.
may_skip() {
  [ "${CI:-}" != true ] || fail 'with CI=true every test must be able to run'
  say 'tests that need it are skipped'
}

# Two scripts that start at once must not install over each other.
under_install_lock() {
  mkdir -p "$root/.cache"
  if command -v flock >/dev/null; then
    exec 9>"$root/.cache/install.lock"
    flock 9
    "$@"
    exec 9>&-
  else
    "$@"
  fi
}

prepare() {
  use_current_node
  install_packages
}

# shellcheck source=scripts/lib/pg-clients.sh
. "$root/scripts/lib/pg-clients.sh"
