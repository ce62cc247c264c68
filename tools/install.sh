#!/bin/sh
# Installs what the Makefile needs: uv, if there is none, and the locked packages into .venv.
# Run by make in the root of the repository. Says what is missing in one sentence, and ends with 1.
#
#   install.sh           uv, .venv and a stamp file that make compares with uv.lock
#   install.sh uv ...    run this uv, found or installed as above
#   install.sh clean     remove .venv and .docmill, unless docmill runs in them
set -eu

STAMP=.venv/.installed
OWN_UV=.docmill/uv
export UV_PYTHON_DOWNLOADS=never

fail() {
    echo "docmill: $*" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The first Python that is new enough; $PYTHON, if set, is the only one that counts.
find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    if command -v "${PYTHON:-python3}" >/dev/null 2>&1; then
        fail "Python 3.11 or newer is needed; this is $("${PYTHON:-python3}" --version 2>&1)."
    fi
    fail "Python 3.11 or newer is needed and there is none. On Debian or Ubuntu: apt install python3"
}

# Whether this uv can read the lock; versions before 0.8 cannot be relied on for that.
is_recent() {
    "$1" --version 2>/dev/null |
        awk '{ split($2, v, "."); good = v[1] > 0 || v[2] >= 8 } END { exit !good }'
}

# Sets UV. A uv of our own goes into .docmill, so that nobody's Python is changed.
find_uv() {
    UV=uv
    is_recent uv && return
    UV=$OWN_UV/bin/uv
    is_recent "$UV" && return
    echo "Installing uv, the package installer, into $OWN_UV ..."
    rm -rf "$OWN_UV"
    mkdir -p .docmill
    # Debian keeps venv and pip in packages of their own; either of them will do.
    if "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        "$PYTHON" -m venv "$OWN_UV"
        set -- "$OWN_UV/bin/python" -m pip install
    elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
        set -- "$PYTHON" -m pip install --target "$OWN_UV"
    else
        fail "Python's venv module is missing. On Debian or Ubuntu: apt install python3-venv"
    fi
    "$@" --quiet --disable-pip-version-check --root-user-action ignore 'uv>=0.8' ||
        fail "uv could not be installed (see above). Is the package index reachable?"
    is_recent "$UV" || fail "the uv that was installed does not work: $UV"
}

install() {
    find_uv
    if [ ! -e .venv/bin/python ]; then
        echo "Installing docmill's packages into .venv: about 1.2 GB, a few minutes the first time."
    fi
    rm -f "$STAMP"
    # uv would throw away an environment made with another Python than the one named, even while
    # something runs in it; so one is named only where there is no environment that works.
    # Compiled now, every process of docmill starts in a third of the time later.
    set -- sync --frozen --compile-bytecode
    is_new_enough .venv/bin/python || set -- "$@" --python "$PYTHON"
    # In a pipe the names of 185 packages are only noise.
    [ -t 2 ] || set -- "$@" --quiet
    # An environment that is activated now, somewhere else, is not the place.
    env -u VIRTUAL_ENV "$UV" "$@" ||
        fail "the packages could not be installed (see above). Is the package index reachable?"
    touch "$STAMP"
}

clean() {
    if [ -e .docmill/lock ] && command -v flock >/dev/null 2>&1; then
        flock --nonblock .docmill/lock true ||
            fail "docmill runs in this folder. Stop it first (Ctrl-C where make up runs)."
    fi
    rm -rf .venv .docmill benchmarks/bullmq/node_modules
    find . -name .git -prune -o -type d \
        \( -name __pycache__ -o -name .mypy_cache -o -name .ruff_cache -o -name .pytest_cache \
        -o -name .import_linter_cache \) -prune -exec rm -rf {} +
    echo "Removed .venv, .docmill and caches."
}

[ -f uv.lock ] && [ -f pyproject.toml ] || fail "run make in the root of the repository."
case "${1:-}" in
    '')
        PYTHON=$(find_python)
        install
        ;;
    uv)
        shift
        PYTHON=$(find_python)
        find_uv
        env -u VIRTUAL_ENV "$UV" "$@"
        ;;
    clean) clean ;;
    *) fail "unknown: $1" ;;
esac
