#!/usr/bin/env bash
# Fetches promtool, which tests the alarm rules, into .tools/. Safe to run again; without it that one test is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v promtool >/dev/null && exit 0
[ -x .tools/promtool ] && exit 0

without() {
  echo "setup: promtool could not be fetched ($1): the test of docs/prometheus/alerts.yml will be skipped," >&2
  echo "setup: or fail where CI=true. Install Debian's package prometheus, or put promtool into .tools/." >&2
  exit 0
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || without 'this is not a Debian system'

# The package starts a service where it is installed, so only this one program is taken out of it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# When root downloads, apt writes as a user of its own.
chmod 755 "$work"
fetch() { (cd "$work" && apt-get download -qq prometheus) >/dev/null 2>"$work/why"; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
if ! fetch; then
  as_root apt-get update -qq >/dev/null 2>&1 || true
  fetch || without "$(tail -n 1 "$work/why")"
fi
mkdir -p .tools
dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool || without 'the package holds none'
# The file is moved into place when it is complete. A second setup at the same time never sees half of it.
mv "$work/usr/bin/promtool" ".tools/promtool.$$" && mv ".tools/promtool.$$" .tools/promtool
