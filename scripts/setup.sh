#!/usr/bin/env bash
# Sets the checkout up: system packages that are missing, npm packages, the addon, the TypeScript. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

# Needed to build: cmake, g++. Needed for AMR-WB calls only: the two codec libraries (opened at run time).
# Needed for the native unit tests only: doctest's header.
missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v g++ >/dev/null || missing+=(g++)
command -v make >/dev/null || command -v ninja >/dev/null || missing+=(make)
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || ls /usr/lib/*/"$1"* >/dev/null 2>&1; }
has_library libopencore-amrwb.so.0 || missing+=(libopencore-amrwb0)
has_library libvo-amrwbenc.so.0 || missing+=(libvo-amrwbenc0)
[ -e /usr/include/doctest/doctest.h ] || missing+=(doctest-dev)

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: missing system packages: ${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "setup: this is not a Debian system; install the equivalents of these packages and run setup again" >&2
    echo "setup: (only cmake, g++ and make are required; without the others AMR-WB and the native tests are off)" >&2
  elif [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
  elif command -v sudo >/dev/null; then
    sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
  else
    echo "setup: not root and no sudo; run: apt-get install ${missing[*]}" >&2
  fi
fi
command -v cmake >/dev/null && command -v g++ >/dev/null || { echo "setup: cmake and g++ are required" >&2; exit 1; }

# npm ci throws node_modules away each time; when it already matches the lock file there is nothing to do.
stamp=node_modules/.sidetone-lock
wanted="$(cat package-lock.json package.json | cksum) $(node --version)"
if [ ! -e "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  npm ci --no-audit --no-fund
  echo "$wanted" >"$stamp"
fi

# Needed to test the alarm rules only.
bash scripts/promtool.sh

npm run --silent compile
echo "setup: done"
