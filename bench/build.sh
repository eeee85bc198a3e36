#!/usr/bin/env bash
# build.sh: how long a clean build takes without a compiler cache, and how long it is from one changed
# source file to the passed tests of its room. Works on a clone of what is committed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone -q "$root" "$folder/clone"
cd "$folder/clone"
export CCACHE_DISABLE=1

seconds() {  # COMMAND...: how long it takes; what it says is shown when it fails
  local begun=$EPOCHREALTIME
  "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
  awk -v from="$begun" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'
}

room_test() {  # ROOM
  cmake --build build/wheel --target "${1//\//_}_test"
  ctest --test-dir build/wheel -L "^${1//\//_}\$" --no-tests=error
}

echo "| what | seconds | bar |"
echo "|---|---|---|"
./x setup >/dev/null
echo "| clean build: package and C++ tests, no compiler cache | $(seconds ./x build) | 480 |"
for file in base/connection resources/demand placement/place control/controller route/pick proxy/http_connection \
  engine/local/local_engine app/node_role; do
  [ -f "src/$file.cc" ] || { echo "build.sh: src/$file.cc is gone" >&2; exit 1; }
  echo "[[maybe_unused]] static int changed() { return 1; }" >>"src/$file.cc"
  echo "| src/$file.cc changed, to the passed tests of its room | $(seconds room_test "$(dirname "$file")") | 30 |"
done
