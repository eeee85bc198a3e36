#!/usr/bin/env bash
# run.sh [SET...] [--rounds N]: figures beside the peers, in the same run; compare.py lists the sets.
# run.sh replicas: memory and time of each further replica; needs no peers.
# run.sh change: what updates, scaling and kills cost those who are served meanwhile.
# run.sh autoscale: what a waiting-time objective costs, beside the known policies, on recorded traffic.
# run.sh scale [ROUNDS]: what a change costs the controller of thousands of replicas.
# run.sh build: how long a clean build takes, and a small change.
# run.sh profile [CASE] [CONNECTIONS]: where the time of a request goes.
#
# The peers and the load generator's driver are the kit in PENSTOCK_BENCH_KIT (its README says what
# it is); without it there is nothing to compare with.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = replicas ]; then
  shift
  exec python "$here/replicas.py" "$@"
fi
if [ "${1:-}" = change ]; then
  shift
  exec python "$here/change.py" --docs "$here/../docs/figures/change.md" "$@"
fi
if [ "${1:-}" = scale ]; then
  cmake --build "$here/../build/wheel" --target scale_bench >/dev/null
  page=$here/../docs/figures/scale.md
  { printf '# What a change costs the controller\n\nPrinted by `./x bench scale`.\n\n'
    "$here/../build/wheel/tests/scale_bench" "${@:2}" 2>/dev/null; } >"$page.new"
  mv "$page.new" "$page"
  exec cat "$page"
fi
if [ "${1:-}" = autoscale ]; then
  shift
  exec python "$here/autoscale.py" --docs "$here/../docs/figures/autoscale.md" "$@"
fi
if [ "${1:-}" = build ] || [ "${1:-}" = profile ]; then
  exec bash "$here/$1.sh" "${@:2}"
fi
kit=${PENSTOCK_BENCH_KIT:-$here/../../shared/bench}
[ -f "$kit/bench.py" ] || { echo "bench: no kit at $kit (PENSTOCK_BENCH_KIT)" >&2; exit 1; }
home=${BENCH_HOME:-$HOME/.cache/penstock-bench}
[ -x "$home/beast_floor" ] || bash "$kit/setup.sh"
# The kit's uvicorn speaks no WebSocket without it.
"$home/uvi/bin/python" -c 'import websockets' 2>/dev/null ||
  "$home/uv/bin/uv" pip install -q -p "$home/uvi/bin/python" websockets
exec python "$here/compare.py" --kit "$kit" "$@"
