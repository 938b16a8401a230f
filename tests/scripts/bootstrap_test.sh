#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: bootstrap_test.sh SOURCE_ROOT
# scripts/bootstrap --check against made-up package lists and package databases: it must install nothing,
# name what is missing with its reason, and refuse lists that it does not understand.

set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/scripts/lib" "$scratch/bin"
cp "$1/scripts/bootstrap" "$scratch/scripts/"
cp "$1/scripts/lib/common.sh" "$scratch/scripts/lib/"
failures=0

# A package database that knows `there` as installed and `removed` as removed; any apt-get is a failure.
cat >"$scratch/bin/dpkg-query" <<'EOF'
#!/bin/sh
printf 'there installed\nremoved config-files\n'
exit 1
EOF
cat >"$scratch/bin/apt-get" <<EOF
#!/bin/sh
touch "$scratch/apt-get-was-called"
exit 1
EOF
chmod +x "$scratch/bin/"*

# Runs it with the package list on standard input: title, exit code, text that must appear, arguments.
expect() {
  local title=$1 code=$2 said=$3 got=0 output
  shift 3
  cat >"$scratch/scripts/packages.txt"
  output=$(PATH=$scratch/bin:$PATH "$scratch/scripts/bootstrap" "$@" 2>&1) || got=$?
  if (( got == code )) && [[ $output == *"$said"* ]]; then
    printf 'ok: %s\n' "$title"
  else
    printf 'FAIL: %s: exit code %d instead of %d, or "%s" not in:\n%s\n' \
      "$title" "$got" "$code" "$said" "$output"
    failures=$((failures + 1))
  fi
}

expect "everything is there" 0 "All 1 packages" --check <<<"there build needed"
expect "everything is there, without --check" 0 "All 1 packages" <<<"there build needed"
expect "one is missing" 1 "absent               for the test" --check <<<"absent build for the test"
expect "one was removed" 1 "removed" --check <<<"removed build gone"
expect "not needed for building" 0 "All 1 packages" --check --for build <<<"there build x
absent test y"
expect "needed for testing" 1 "absent" --check --for test <<<"there build x
absent test y"
expect "only the benchmarks need it" 0 "All 1 packages" --check --for test <<<"there build x
absent bench y"
expect "unknown use" 3 "has the use 'fun'" --check <<<"there fun x"
expect "empty list" 3 "lists no package" --check <<<"# nothing"
expect "wrong argument" 2 "unknown argument" --install <<<"there build x"
expect "wrong scope" 2 "takes build, test or all" --for everything <<<"there build x"

if [[ -e $scratch/apt-get-was-called ]]; then
  echo 'FAIL: apt-get was called although nothing had to be installed'
  failures=$((failures + 1))
fi
exit $(( failures ? 1 : 0 ))
