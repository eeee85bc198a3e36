#!/usr/bin/env bash
# Every room of rooms.toml that is a folder of src/ opens with a README.md of at most 30 lines.
#
#   tools/check_readmes.sh [ROOT]      prints each breach; exit 1 if any
set -euo pipefail
root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
limit=30
status=0
rooms=$(python3 -c 'import sys, tomllib; print(*tomllib.load(open(sys.argv[1], "rb"))["rooms"], sep="\n")' "$root/rooms.toml")
while read -r room; do
  [ -d "$root/src/$room" ] || continue  # the API is elsewhere
  readme=$root/src/$room/README.md
  if [ ! -s "$readme" ]; then
    echo "no README: src/$room"
    status=1
  elif lines=$(wc -l <"$readme") && [ "$lines" -gt "$limit" ]; then
    echo "README too long: src/$room/README.md has $lines lines, at most $limit"
    status=1
  fi
done <<<"$rooms"
exit $status
