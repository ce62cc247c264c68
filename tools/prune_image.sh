#!/bin/sh
# Takes out of an installed environment what a running service never opens. Used by the
# Dockerfiles between installing the dependencies and installing docmill, and by their test.
#
#   prune_image.sh ENVIRONMENT
set -eu

packages=$(echo "$1"/lib/python3.*/site-packages)
[ -d "$packages" ] || { echo "prune_image.sh: no environment in $1" >&2; exit 1; }
command -v strip >/dev/null || { echo "prune_image.sh: strip (binutils) is missing" >&2; exit 1; }

# Tests of the libraries. Other folders called "testing" stay: libraries import those.
find "$packages" -depth -type d \( -name tests -o -name test -o -name SelfTest \) \
    -exec rm -rf {} +
rm -rf "$packages/sqlalchemy/testing" "$packages/alembic/testing"
# The sources of what is compiled, and types for editors.
find "$packages" -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \
    -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.a' \) -delete
# What builds extensions of numpy; nothing here compiles.
rm -rf "$packages/numpy/f2py" "$packages/numpy/distutils"
# Symbols for debuggers. --strip-unneeded keeps those that the dynamic linker needs. What wheels
# bundle in "*.libs" was patched after linking, and strip would leave it unloadable.
find "$packages" -type f -name '*.so*' ! -path '*.libs/*' -exec strip --strip-unneeded {} +
