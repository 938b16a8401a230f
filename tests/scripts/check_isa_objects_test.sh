#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: check_isa_objects_test.sh SOURCE_ROOT COMPILER...
# scripts/check-isa-objects must pass a clean object file and catch every planted violation.

set -euo pipefail
check=$1/scripts/check-isa-objects
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# Compiles the source on standard input as the implementation "planted" and expects the check to end with
# code $2, having said $3.
expect() {
  local title=$1 code=$2 said=$3 got=0 output
  local folder=$scratch/kernels/libssn-kernels-planted.a.p
  rm -rf "$scratch/kernels" && mkdir -p "$folder"
  "${compiler[@]}" -std=c++20 -O1 -x c++ -c -o "$folder/planted.cpp.o" -
  output=$("$check" "$scratch" 2>&1) || got=$?
  if (( got == code )) && [[ $output == *"$said"* ]]; then
    printf 'ok: %s\n' "$title"
  else
    printf 'FAIL: %s: exit code %d instead of %d, or "%s" not in:\n%s\n' \
      "$title" "$got" "$code" "$said" "$output"
    failures=$((failures + 1))
  fi
}

compiler=("$@")
good='namespace ssn::kernels { struct I { int (*f)(); }; static int one() { return 1; }
      extern const I planted; const I planted{one}; }'

expect "a clean object file" 0 "nothing that others could pick up" <<<"$good"
used='__attribute__((used)) static'
expect "an inline function that was not inlined" 1 "weak or unique" \
  <<<"$good inline int shared(int x) { return x * x; } $used int (*p)(int) = shared;"
expect "a template of the standard library" 1 "weak or unique" \
  <<<"#include <vector>
      $good $used void grow(std::vector<int>& v) { v.resize(v.size() + 9); }"
expect "a weak reference" 1 "weak or unique" \
  <<<"$good extern void other() __attribute__((weak)); $used void (*p)() = other;"
expect "a second global symbol" 1 "and no other" <<<"$good int helper(int x) { return x + 1; }"
expect "no implementation" 1 "but defines" <<<"static int nothing __attribute__((used));"
expect "a constructor" 1 "runs at program start" \
  <<<"$good extern int source(); namespace { int started __attribute__((used)) = source(); }"

rm -rf "$scratch/kernels" && mkdir "$scratch/kernels"
if "$check" "$scratch" >/dev/null 2>&1; then
  echo 'FAIL: passes although there is no object file'
  failures=$((failures + 1))
fi
exit $(( failures ? 1 : 0 ))
