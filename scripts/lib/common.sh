# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the shell scripts in scripts/. Only defines things; source it after `set -euo pipefail`.

# The root of the tree, whatever the caller's working directory is.
# shellcheck disable=SC2034  # used by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Bold for headings on a terminal only; NO_COLOR (https://no-color.org) turns it off.
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\e[1m' plain=$'\e[0m'
else
  bold='' plain=''
fi

# Prints a heading.
heading() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }

# Ends the script: what failed and why, then what to do, one line per argument. Exit code 1, or $die_code.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  shift
  if (( $# )); then printf '  %s\n' "$@" >&2; fi
  exit "${die_code:-1}"
}

# Ends the script because it was called wrongly. Exit code 2 everywhere.
usage_error() { die_code=2 die "$1" "Run scripts/${0##*/} --help for what it takes."; }

# Prints the comment block at the top of the calling script as its help.
help_from_header() { sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; }

# Whole seconds as "48 s" or "3 min 05 s".
elapsed() {
  if (( $1 < 60 )); then printf '%d s' "$1"; else printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}

# Compilers for one machine: as many as cores, and no more than memory allows (1 GiB each).
default_jobs() {
  local cores memory_gib
  cores=$(nproc)
  memory_gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || echo 1)
  (( memory_gib >= 1 )) || memory_gib=1
  echo $(( cores < memory_gib ? cores : memory_gib ))
}
