# Sourced by the scripts beside it: what starting a server on loopback needs.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # read by those who source this
servers=${OUTBOX_SERVERS_HOME:-$root/target/servers}

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$0: $*"
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# Whether anything listens on a port of loopback.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first port from the given one on that nobody listens on.
free_port() {
    local port
    for port in $(seq "$1" $(($1 + 100))); do
        if ! listens "$port"; then
            echo "$port"
            return
        fi
    done
    fail "every port from $1 to $(($1 + 100)) is taken"
}

# Tries a command until it succeeds, for at most 60 s.
wait_for() {
    local end=$((SECONDS + 60))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

# need_owner FOLDER USER: what another user made here before is nothing that a server can start on.
need_owner() {
    local owner
    owner=$(stat -c %U "$1" 2>/dev/null) || return 0
    [ "$owner" = "$2" ] ||
        fail "$1 belongs to $owner, expected $2: remove it, run this as the user who made it, or set OUTBOX_SERVERS_HOME"
}

# take_turns FOLDER: only one script at a time works on a server's data.
take_turns() {
    mkdir -p "$1"
    need_owner "$1/lock" "$(id -un)"
    exec 9>"$1/lock"
    flock 9
}

# Something listens on a port and is no server of ours: without a client it cannot be told what it is.
stranger() {
    fail "something listens on port $1, but $2 is missing to talk to it: install $2, or name a server in $3"
}

# install_packages WHAT PACKAGE..: as root with apt, else it says what is missing.
install_packages() {
    local what=$1
    shift
    command -v apt-get >/dev/null || fail "$what is missing and there is no apt to install it with"
    is_root || fail "$what is missing: install it (apt-get install $*), or run this as root once"
    say "installing $what: $*"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}
