#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs the constant-time checker under its tool and says whether the tool saw what it should.
#
#   run.sh valgrind|msan CHECKER check IMPLEMENTATION     the tool must report nothing
#   run.sh valgrind|msan CHECKER planted IMPLEMENTATION   the tool must report both planted violations
#   run.sh valgrind|msan CHECKER refused IMPLEMENTATION   it must be refused as unsupported
#
# Exit codes: 0 as it should be, 1 not, 77 (meson: skipped) this CPU cannot run the implementation.
set -euo pipefail

if [[ $# -ne 4 ]]; then
  sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
tool=$1 checker=$2 what=$3 implementation=$4
output=$(mktemp)
trap 'rm -f "$output"' EXIT
tool_found=99

run_checker() {
  local status=0
  case $tool in
    valgrind)
      valgrind --quiet --error-exitcode=$tool_found --max-stackframe=4000000 \
        "$checker" "$@" >"$output" 2>&1 || status=$?
      ;;
    msan)
      MSAN_OPTIONS=exit_code=$tool_found "$checker" "$@" >"$output" 2>&1 || status=$?
      ;;
    *)
      echo "run.sh: the tool is valgrind or msan, not \"$tool\"" >&2
      exit 2
      ;;
  esac
  cat "$output"
  if [[ $status -eq 3 ]]; then
    echo "skipped: this CPU, or the one that $tool shows, cannot run $implementation"
    exit 77
  fi
  return $status
}

fail() {
  echo "FAILED: $*"
  exit 1
}

# A plant is found when the tool ends the run with its own exit code, says so in its own words and names the
# function.
expect_report() {
  local plant=$1 message=$2 status=0
  run_checker "$implementation" "$plant" || status=$?
  [[ $status -eq $tool_found ]] || fail "the planted $plant was not reported (exit code $status)"
  grep -qF "$message" "$output" || fail "the planted $plant gave no \"$message\""
  grep -qF "${plant}ing_combine" "$output" || fail "something else than the planted $plant was reported"
  echo "found the planted $plant, as it should"
}

case $what in
  check)
    run_checker "$implementation" ||
      fail "$tool reports that $implementation is not constant-time, or it failed"
    grep -q 'operations on secrets' "$output" || fail "the checker did not say what it checked"
    ;;
  planted)
    if [[ $tool == valgrind ]]; then
      expect_report branch 'Conditional jump or move depends on uninitialised value'
      expect_report index 'Use of uninitialised value of size'
    else
      expect_report branch 'MemorySanitizer: use-of-uninitialized-value'
      expect_report index 'MemorySanitizer: use-of-uninitialized-value'
    fi
    ;;
  refused)
    run_checker --refused "$implementation" || fail "$implementation was not refused"
    ;;
  *)
    echo "run.sh: check, planted or refused, not \"$what\"" >&2
    exit 2
    ;;
esac
