#!/bin/sh
# Puts each seeded bug of tests/faults/bugs into a copy of the project, and fails unless the test that is named in its
# patch sees it, in the words that are named there.
#
#   tests/faults/bugs.sh            all of them; some minutes each
#   tests/faults/bugs.sh 01 04      some
#   tests/faults/bugs.sh --check    only that every patch still applies
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ "${1:-}" = --check ]; then
    cd "$root"
    for patch in "$here"/bugs/*.patch; do
        git apply --check "$patch" || {
            echo "$(basename "$patch") does not apply any more: put the same bug into the code of now" >&2
            exit 1
        }
    done
    exit 0
fi

work=${CARGO_TARGET_DIR:-$root/target}/faults/bugs
tree=$work/tree
# Where no repository is: git apply takes paths as they are.
export GIT_CEILING_DIRECTORIES="$work" CARGO_TARGET_DIR="$work/target"

rm -rf "$tree"
mkdir -p "$tree"
# With their times, so that only what differs is built again.
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null) |
    tar -xpf - -C "$tree"
cd "$tree"
# They may have been built with a bug in them.
sed -n 's|^+++ b/||p' "$here"/bugs/*.patch | sort -u | xargs touch

# One line of the patch's head.
said() { sed -n "s/^$1: //p" "$2" | head -n 1; }

missed=
for patch in "$here"/bugs/*.patch; do
    name=$(basename "$patch" .patch)
    [ $# -eq 0 ] || case " $* " in *" ${name%%-*} "*) ;; *) continue ;; esac
    run=$(said Test "$patch")
    sees=$(said Sees "$patch")
    kills=$(said Kills "$patch")
    git apply "$patch"
    # A copy that can't be built would look like a bug that was seen.
    # shellcheck disable=SC2086
    case $run in *geopush-fleet*) cargo build --quiet --locked --bin geopush ;; esac &&
        cargo test --quiet --locked --no-run $run
    caught=
    # A kill may miss the moment that matters.
    for seed in 1 2 3; do
        log=$work/$name-$seed.log
        # shellcheck disable=SC2086
        if FAULTS_SEED=$seed FAULTS_KILLS=${kills:-10} cargo test --quiet --locked $run >"$log" 2>&1; then
            continue
        fi
        if grep -Eq "$sees" "$log"; then
            caught=$seed
            break
        fi
        echo "$name: seed $seed failed, but not for \"$sees\": see $log"
    done
    git apply -R "$patch"
    if [ -n "$caught" ]; then
        echo "$name: caught by \"$run\" (seed $caught): $(grep -Em1 "$sees" "$log")"
    else
        echo "$name: NOT CAUGHT by \"$run\"; see $work/$name-*.log"
        missed="$missed $name"
    fi
done
[ -z "$missed" ] || { echo "not caught:$missed" >&2; exit 1; }
