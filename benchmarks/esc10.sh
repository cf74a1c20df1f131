#!/usr/bin/env bash
# ESC-10 from scratch, five folds, by the paper's recipe: fixed steps, last weights, nothing chosen on a test fold.
#
#   EARWITNESS_DATA=... benchmarks/esc10.sh [OUT]
#
# Two cross-validations of a ResNet-50 of a quarter width, alike but for how patches are drawn to learn from: end to end
# without overlap, as the paper does, and from any eighth frame, which a corpus of half an hour can use. Interrupted, the
# same command goes on where it was. Prints mean, spread, 95 % interval and folds beside the baseline and chance.
set -euo pipefail
data="${EARWITNESS_DATA:?set it to the folder of real data}"
out="${1:-runs/esc10}"
mkdir -p "$out"
earwitness manifest esc50 "$data/esc10" --out "$out/esc10.parquet"
earwitness prepare "$out/esc10.parquet" "$out/store"
plain=(--network resnet50 --width 0.25 --steps 400 --group fold)
echo "== patches end to end (the paper's)"
earwitness crossvalidate "$out/store" "$out/end-to-end" "${plain[@]}"
echo "== patches from every eighth frame"
earwitness crossvalidate "$out/store" "$out/every-eighth-frame" "${plain[@]}" --patch-hop-frames 8
