#!/usr/bin/env bash
# profile.sh [CASE] [CONNECTIONS]: where the time of a request goes, process by process, for a case of
# the kit (noop, noopsync, comp ...): microseconds of a core per request, from perf's samples.
# Samples need root, or kernel.perf_event_paranoid of -1.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kit=${PENSTOCK_BENCH_KIT:-$here/../../shared/bench}
[ -f "$kit/apps/serve_app.py" ] || { echo "bench: no kit at $kit (PENSTOCK_BENCH_KIT)" >&2; exit 1; }
case=${1:-noop} connections=${2:-64} port=18321
folder=$(mktemp -d)
SERVE_MODULE=penstock.serve BENCH_APP=$case BENCH_PORT=$port BENCH_MOR=1000
export SERVE_MODULE BENCH_APP BENCH_PORT BENCH_MOR
coproc app { exec python "$kit/apps/serve_app.py" 2>"$folder/app.log"; }
pid=$app_PID
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
while IFS= read -r line <&"${app[0]}" && [[ $line != *'"ready"'* ]]; do :; done
[[ ${line:-} == *'"ready"'* ]] || { cat "$folder/app.log" >&2; exit 1; }

wrk -t1 -c"$connections" -d1s "http://127.0.0.1:$port/" >/dev/null
wrk -t1 -c"$connections" -d6s "http://127.0.0.1:$port/" >"$folder/wrk" &
load=$!
sleep 1
perf stat -a -x, -e context-switches -o "$folder/switches" sleep 4 &
counting=$!
perf record -q -a -e cpu-clock -F 2000 -o "$folder/samples" sleep 4 >/dev/null 2>&1
wait "$load" "$counting"
rps=$(awk '/^Requests\/sec/ { print $2 }' "$folder/wrk")
switches=$(awk -F, '/context-switches/ { print $1 / 4 }' "$folder/switches")
printf '%s, %s connections: %.0f requests/s, %.0f context switches/s\n\n' "$case" "$connections" "$rps" "$switches"
echo "| us a request | share of all cores | process | in |"
echo "|---|---|---|---|"
perf report -q -i "$folder/samples" -g none --sort pid,dso -F overhead,pid,dso 2>/dev/null |
  awk -v rps="$rps" -v cores="$(nproc)" '$1 + 0 >= 0.3 {
    share = $1 + 0; $1 = ""; object = $NF; $NF = ""; sub(/^ +/, ""); sub(/ +$/, "")
    printf "| %.1f | %.1f%% | %s | %s |\n", share / 100 * cores * 1e6 / rps, share, $0, object
  }'
