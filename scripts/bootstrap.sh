#!/bin/sh
# Prepare a virtual environment of this checkout from a lock, without touching the system's Python.
#
#   scripts/bootstrap.sh uv                     print the uv to use, putting one into .uv if there is none
#   scripts/bootstrap.sh venv DIR               make the virtual environment DIR, if it is not there
#   scripts/bootstrap.sh install DIR LOCK       make it, and install requirements/LOCK.txt, hashes verified
#   scripts/bootstrap.sh project DIR            install this project into it, editable
#
# PYTHON=/path/to/python chooses the interpreter; otherwise the first one that runs and is new enough is taken: on the
# PATH, in pyenv's versions folder, among uv's own, and only then one that uv downloads.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)

minimum_uv="0.7" # the oldest that was tried

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# Prints the interpreter behind a candidate if it runs and is CPython 3.MINOR or later. Only running it tells: pyenv
# puts a shim for every version on the PATH, and those of inactive versions fail.
probe() { # CANDIDATE MINOR
    "$1" - "$2" 2>/dev/null <<'PYTHON'
import sys
v = sys.version_info
if sys.implementation.name != "cpython" or v[:2] < (3, int(sys.argv[1])) or v[3] != "final" or "t" in sys.abiflags:
    sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)
PYTHON
}

# Prints the first interpreter of at least 3.MINOR. 3.12 comes first: the locks are resolved for it.
find_python() { # MINOR
    versions="${PYENV_ROOT:-${HOME:-/}/.pyenv}/versions"
    for candidate in python3.12 python3.13 python3.14 \
        "$versions"/3.12.*/bin/python3.12 "$versions"/3.13.*/bin/python3.13 "$versions"/3.14.*/bin/python3.14 \
        python3 python "$versions"/3.*/bin/python3 /usr/bin/python3; do
        probe "$candidate" "$1" && return 0
    done
    return 1
}

recent_enough() { # VERSION MINIMUM
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t . -k 1,1n -k 2,2n | head -n 1)" = "$2" ]
}

# Sets $uv.
need_uv() {
    if version=$(uv --version 2>/dev/null) && recent_enough "$(printf '%s' "$version" | cut -d ' ' -f 2)" "$minimum_uv"; then
        uv=$(command -v uv)
        return
    fi
    uv="$here/.uv/bin/uv"
    if cmp -s requirements/uv.txt .uv/installed.txt && "$uv" --version >/dev/null 2>&1; then
        return
    fi
    seed=${PYTHON:-$(find_python 8)} || die "no Python 3 found to install uv with; install Python 3.12 or later"
    say "no uv >= $minimum_uv on the PATH: installing it into .uv"
    rm -rf .uv
    "$seed" -m venv .uv >&2 || die "$seed cannot make a virtual environment; install its venv module, or uv"
    .uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        -r requirements/uv.txt >&2 || die "pip could not install uv; is a package registry reachable?"
    cp requirements/uv.txt .uv/installed.txt
}

# Sets $python; needs $uv.
need_python() {
    if [ -n "${PYTHON:-}" ]; then
        python=$(probe "$PYTHON" 12) || die "PYTHON=$PYTHON is not a working CPython 3.12 or later; unset it or name one"
    elif python=$(find_python 12); then
        :
    elif python=$("$uv" python find --no-project --system --no-python-downloads --no-config '>=3.12' 2>/dev/null); then
        :
    else
        say "no Python >= 3.12 on this machine: letting uv download one"
        "$uv" python install --quiet 3.12 2>/dev/null && python=$("$uv" python find --no-project --system 3.12) ||
            die "no Python >= 3.12 found (PATH, pyenv, uv), and uv could not download one; install it, or set PYTHON=/path"
    fi
}

# A virtual environment that was copied here with its checkout still points at the old place: that one is made anew.
need_venv() { # DIR
    if [ -e "$1" ] && [ ! -e "$1/pyvenv.cfg" ]; then
        die "$1 exists and is no virtual environment; move it away"
    fi
    if [ "$(cat "$1/made-in" 2>/dev/null || printf %s "$here")" = "$here" ] && probe "$1/bin/python" 12 >/dev/null; then
        return
    fi
    need_python
    say "making $1 with $("$python" --version) ($python)"
    rm -rf "$1"
    "$uv" venv --quiet --no-project --no-python-downloads --python "$python" "$1" || die "uv could not make $1"
    printf %s "$here" >"$1/made-in"
}

case "${1:-}" in
uv)
    need_uv
    printf '%s\n' "$uv"
    ;;
venv)
    need_uv
    need_venv "$2"
    ;;
install)
    need_uv
    need_venv "$2"
    say "installing requirements/$3.txt into $2"
    # Compiled at once: --help is measured in tenths of a second, and some machines forbid Python to write bytecode.
    "$uv" pip install --python "$2/bin/python" --require-hashes --compile-bytecode -r "requirements/$3.txt"
    ;;
project)
    need_uv
    need_venv "$2"
    "$uv" pip install --quiet --python "$2/bin/python" --no-deps --build-constraints requirements/build.txt \
        --reinstall-package rl-drug-dosage --editable .
    ;;
*)
    die "unknown command '${1:-}'; one of uv, venv, install, project"
    ;;
esac
