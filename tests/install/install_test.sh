#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Usage: install_test.sh MESON BUILD_DIRECTORY SOURCE_FOLDER COMPILER...
# Installs the build into an empty folder and compiles a user's program against what is there, finding it with
# pkg-config only. Also checks that every installed header compiles alone.

set -euo pipefail
meson=$1 build=$2 source=$3
shift 3
compiler=("$@")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$meson" install -C "$build" --no-rebuild --destdir "$scratch/root" >"$scratch/log" 2>&1 || {
  cat "$scratch/log"
  echo 'FAIL: meson install'
  exit 1
}
description=$(find "$scratch/root" -name ssn-kernels.pc)
[[ -n $description ]] || { echo 'FAIL: ssn-kernels.pc was not installed'; exit 1; }
prefix=$(sed -n 's/^prefix=//p' "$description")

# The installed files lie under $scratch/root now, and will lie under the prefix.
flags() {
  PKG_CONFIG_PATH=${description%/*} \
    pkg-config --define-variable=prefix="$scratch/root$prefix" "$@" ssn-kernels
}
read -ra compile < <(flags --cflags)
read -ra link < <(flags --libs)

"${compiler[@]}" -std=c++20 -Wall -Wextra -Werror "${compile[@]}" \
  "$source/consumer.cpp" -o "$scratch/consumer" "${link[@]}"
LD_LIBRARY_PATH=${description%/pkgconfig/*} "$scratch/consumer"

headers=0
while IFS= read -r header; do
  "${compiler[@]}" -std=c++20 -Wall -Wextra -Werror "${compile[@]}" -fsyntax-only -x c++ - \
    <<<"#include <${header#"$scratch/root$prefix/include/"}>"
  headers=$((headers + 1))
done < <(find "$scratch/root$prefix/include" -name '*.h')
(( headers > 0 )) || { echo 'FAIL: no header was installed'; exit 1; }
printf 'ok: %d headers compile alone; version %s\n' "$headers" "$(flags --modversion)"
