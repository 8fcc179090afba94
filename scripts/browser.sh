#!/bin/sh
# Get what the browser tests need: Debian's Chromium with its driver, and axe-core, which looks for barriers in a page.
#
#   scripts/browser.sh DIR      put axe-core into DIR; install Chromium if it is missing (apt-get, as root)
set -eu
cd "$(dirname "$0")/.."
folder=$1

# A package of Python that carries axe-core as it is: no other package manager is needed. It is run by nobody.
package="axe-playwright-python==0.1.8"
hash="sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"

say() { printf 'browser: %s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

missing=""
command -v chromium >/dev/null 2>&1 || missing=" chromium"
command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
if [ -n "$missing" ]; then
    wanted="install$missing"
    command -v apt-get >/dev/null 2>&1 || die "needs the programs chromium and chromedriver; put them on the PATH"
    [ "$(id -u)" = 0 ] || die "needs the Debian packages$missing; as root: apt-get $wanted"
    say "installing$missing"
    # shellcheck disable=SC2086 # one word a package
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing; } \
        >/dev/null || die "apt-get could not install$missing"
fi

script="$folder/axe_playwright_python/axe.min.js"
if [ ! -s "$script" ] || [ "$(cat "$folder/package" 2>/dev/null)" != "$package" ]; then
    uv=$(scripts/bootstrap.sh uv)
    rm -rf "$folder"
    printf '%s --hash=%s\n' "$package" "$hash" |
        "$uv" pip install --quiet --python .venv/bin/python --require-hashes --no-deps --target "$folder" --requirements - ||
        die "cannot fetch $package, which carries axe-core"
    printf '%s\n' "$package" >"$folder/package"
fi
