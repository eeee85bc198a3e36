#!/usr/bin/env bash
# conform.sh SUITE [pytest args]: the topics of the conformance suite that were reached once, so
# that they stay reached. Tests where we differ on purpose are left out by name, with their reason,
# in tests/conformance.txt; docs/differences.md says more. Without the suite's folder there is
# nothing to run, and that is said.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=$1
shift
if [ ! -f "$suite/run.sh" ]; then
  echo "conformance: no suite at $suite; not run"
  exit 0
fi
topics=() left_out=()
while read -r word name _; do
  case $word in
    topic) topics+=("test_$name.py") ;;
    without) left_out+=(--deselect "$name") ;;
  esac
done <"$root/tests/conformance.txt"
[ $# -gt 0 ] && topics=()
export PYTHONPATH=$(penstock shim) PYTHONDONTWRITEBYTECODE=1
exec bash "$suite/run.sh" "$(command -v python)" -p no:cacheprovider -q "${left_out[@]}" "${topics[@]}" "$@"
