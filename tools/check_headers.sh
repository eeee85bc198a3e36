#!/usr/bin/env bash
# Every header compiles alone: it includes what it uses.
#
#   tools/check_headers.sh [WORK_DIR]     prints what does not; exit 1 if any. A compiler cache
#                                         makes this seconds; the first time takes a minute or two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=${1:-build/headers}
mkdir -p "$work"
export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$PWD
compiler="$(command -v ccache || true) ${CXX:-c++}"
headers=$(find include src -name '*.h' | sed -E 's,^(include|src)/,,' | sort)

# A file a header, rewritten only when it has to be.
while read -r header; do
  source=$work/${header//\//-}.cc
  text="#include \"$header\""
  [ "$(cat "$source" 2>/dev/null)" = "$text" ] || echo "$text" >"$source"
done <<<"$headers"

sed 's,/,-,g' <<<"$headers" | xargs -P "$(nproc)" -I{} sh -c \
  "$compiler -std=c++20 -Iinclude -Isrc -c $work/{}.cc -o $work/{}.o || { echo 'not alone: {}' >&2; exit 1; }"
echo "headers stand alone: $(wc -l <<<"$headers")"
