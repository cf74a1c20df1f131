#!/usr/bin/env bash
# ESC-10 from scratch, five folds, by the paper's recipe: fixed steps, last weights, nothing chosen on a test fold.
#
#   EARWITNESS_DATA=... benchmarks/esc10.sh [OUT]
#
# A ResNet-50 of a quarter width, patches end to end without overlap, no augmentation. Interrupted, the same command
# goes on where it was. Prints mean, spread, 95 % interval and folds beside the baseline and chance.
set -euo pipefail
data="${EARWITNESS_DATA:?set it to the folder of real data}"
out="${1:-runs/esc10}"
mkdir -p "$out"
earwitness manifest esc50 "$data/esc10" --out "$out/esc10.parquet"
earwitness prepare "$out/esc10.parquet" "$out/store"
earwitness crossvalidate "$out/store" "$out/folds" --group fold --network resnet50 --width 0.25 --steps 400
