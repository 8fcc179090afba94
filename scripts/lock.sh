#!/bin/sh
# Write the locks in requirements/ anew from pyproject.toml: exact versions with hashes, for every platform, and no
# address, so that they hold for whatever registry a machine uses. Pins stay where they are unless an argument of
# `uv pip compile` says otherwise: scripts/lock.sh --upgrade
set -eu
cd "$(dirname "$0")/.."
scripts/bootstrap.sh venv .venv
uv=$(scripts/bootstrap.sh uv)
all=$(mktemp)
trap 'rm -f "$all"' EXIT

compile() { # OUTPUT ARGUMENT...
    output=$1
    shift
    "$uv" pip compile --quiet --python .venv/bin/python --universal --python-version 3.12 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' \
        --output-file "$output" "$@" >/dev/null
}

# One version of each package across all environments: resolve everything at once, then take each lock out of that.
cat requirements/base.txt requirements/dev.txt requirements/torch.txt requirements/cuda.txt 2>/dev/null >"$all" || true
compile "$all" pyproject.toml --all-extras "$@"
compile requirements/base.txt pyproject.toml --constraints "$all" "$@"
for extra in wandb minari nuts onnx parquet ray sb3 sbml sweep site dev torch cuda; do
    compile "requirements/$extra.txt" pyproject.toml --extra "$extra" --constraints "$all" "$@"
done
printf 'editables\nhatchling\n' | compile requirements/build.txt - --constraints "$all" "$@"
printf 'cyclonedx-bom\npip-audit\n' | compile requirements/supply.txt - --constraints "$all" "$@"
printf 'uv\n' | compile requirements/uv.txt - "$@"

if grep -n '://' requirements/*.txt; then
    echo 'lock: an address got into a lock (above)' >&2
    exit 1
fi
