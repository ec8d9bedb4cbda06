#!/bin/sh
# Loads the demo from an empty clone, with the caches of uv and npm as they are, and says how long it took.
#   sh bench/demo.sh DIR [RUNS]     DIR must not exist or be empty; it is deleted afterwards
# The first run may have to fetch packages; only the runs after it have warm caches for certain. What is committed is
# measured. The limit beside it: the same clone with everything in place, whose demo is forgotten and made again.
set -eu
cd "$(dirname "$0")/.."
dir=${1:?bench/demo.sh: a folder for the clone} runs=${2:-3}
[ -z "$(ls -A "$dir" 2>/dev/null)" ] || { echo "demo.sh: $dir is not empty" >&2; exit 2; }
mkdir -p "$dir"
trap 'rm -rf "$dir"' EXIT
unset HIEPDONG_DEMO_DATA 2>/dev/null || true

seconds() { # seconds NAME COMMAND…: run it quietly, print wall seconds and the load before and after
    name=$1; shift
    before=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo ?)
    begin=$(date +%s.%N)
    "$@" > "$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
    end=$(date +%s.%N)
    echo "$name: $(echo "$end $begin" | awk '{printf "%.1f", $1 - $2}') s (load $before before, $(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo ?) after)"
}

n=1
while [ "$n" -le "$runs" ]; do
    rm -rf "$dir/clone"
    git clone -q . "$dir/clone"
    seconds "run $n, empty clone, bin/demo --once" "$dir/clone/bin/demo" --once "$dir/out"
    n=$((n + 1))
done
ls -l "$dir/out"
seconds "again, everything in place" "$dir/clone/bin/demo" --once "$dir/out"
seconds "made again, packages in place" "$dir/clone/bin/demo" --fresh --once "$dir/out"
