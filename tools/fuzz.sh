#!/usr/bin/env bash
# Runs every fuzzer of a build for a while and says what came of it.
#
#   tools/fuzz.sh BUILD_DIR SECONDS [NAME...]     0 seconds: only what the corpus holds
#
# One line a fuzzer: inputs run, coverage reached, findings. A finding is kept below
# BUILD_DIR/findings/ and makes this exit 1. The corpus, tests/corpus/<fuzzer>/, is only read;
# a file tests/corpus/<fuzzer>.dict has words that its inputs are made of. WORKERS run at once.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:?usage: fuzz.sh BUILD_DIR SECONDS [NAME...]}
each=${2:?usage: fuzz.sh BUILD_DIR SECONDS [NAME...]}
shift 2
# Function names in the report of a finding.
export ASAN_SYMBOLIZER_PATH=${ASAN_SYMBOLIZER_PATH:-$(command -v llvm-symbolizer-16 addr2line | head -n 1)}
export ASAN_OPTIONS=allow_addr2line=1:${ASAN_OPTIONS:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

last() { grep -oE "$1" "$2" | tail -n 1 | grep -oE '[0-9]+' || echo 0; }

# Runs the program $1; its line goes to stdout, its finding stays in findings/.
run_one() {
  local program=$1 name corpus kept log found=0
  name=$(basename "$program")
  corpus=$root/tests/corpus/$name
  kept=$build/findings/$name
  log=$work/$name.log
  mkdir -p "$work/$name" "$kept"
  [ ! -d "$corpus" ] || cp -r "$corpus/." "$work/$name/"
  local options=(-timeout=20 -rss_limit_mb=2048 -print_final_stats=1 "-artifact_prefix=$kept/")
  [ ! -f "$corpus.dict" ] || options+=("-dict=$corpus.dict")
  if [ "$each" -eq 0 ]; then options+=(-runs=0); else options+=("-max_total_time=$each"); fi
  "$program" "${options[@]}" "$work/$name" >"$log" 2>&1 || found=1
  printf '%-26s %9d runs  %6d edges  %d finding(s)\n' "$name" \
    "$(last 'number_of_executed_units: *[0-9]+' "$log")" "$(last 'cov: [0-9]+' "$log")" "$found"
  rmdir "$kept" 2>/dev/null || true
  [ "$found" -eq 0 ] && return
  # Not its progress, nor the frames of libraries, nor the sanitizer's picture of the memory.
  { grep -vE '^#[0-9]|^stat::|^INFO|/lib/|/include/c\+\+|nlohmann|^  0x|^=>0x|^  [A-Z][a-z -]+: +[0-9a-f]{2}' "$log" || true; } |
    cut -c 1-200 | tail -n 40 | sed 's/^/    /'
  return 1
}

mapfile -t programs < <(find "$build" -type f -perm -u+x -name '*_fuzz' | sort)
if [ $# -gt 0 ]; then
  mapfile -t programs < <(for name in "$@"; do printf '%s\n' "${programs[@]}" | grep "/$name\$"; done)
fi
[ ${#programs[@]} -gt 0 ] || { echo "fuzz.sh: no fuzzers in $build" >&2; exit 1; }

failed=0
running=0
for program in "${programs[@]}"; do
  run_one "$program" &
  running=$((running + 1))
  if [ "$running" -ge "${WORKERS:-1}" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
