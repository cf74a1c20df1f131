#!/usr/bin/env bash
# ESC-10 from scratch, five folds: the paper's recipe, the recipe for small corpora, and one fold with three seeds.
#
#   EARWITNESS_DATA=... benchmarks/esc10.sh [OUT]
#
# A ResNet-50 of a quarter width, patches end to end; fixed steps, last weights, nothing chosen on a test fold. Two
# trainings run side by side, one thread each. Interrupted, the same command goes on where it was. Prints mean, spread,
# 95 % interval and folds beside the baseline and chance, and the accuracy of the seeds.
set -euo pipefail
data="${EARWITNESS_DATA:?set it to the folder of real data}"
out="${1:-runs/esc10}"
network=(--network resnet50 --width 0.25 --threads 1)
small=(--recipe small-data --steps 2000 --validation-every 500)
mkdir -p "$out"
if [ ! -e "$out/esc10.parquet" ]; then
    earwitness manifest esc50 "$data/esc10" --out "$out/esc10.parquet"
fi
earwitness prepare "$out/esc10.parquet" "$out/store"

paper_recipe_and_seeds() {
    earwitness crossvalidate "$out/store" "$out/paper" --group fold "${network[@]}" --steps 400
    for seed in 2 3; do  # the first is the fold of the cross-validation
        earwitness train "$out/store" "$out/seed-$seed" --where 'fold != 1' "${network[@]}" "${small[@]}" \
            --seed "$seed" --validation-share 0
        earwitness evaluate "$out/seed-$seed/model.safetensors" "$out/store" --where 'fold == 1'
    done
}

paper_recipe_and_seeds > "$out/paper_and_seeds.txt" 2>&1 &
earwitness crossvalidate "$out/store" "$out/small-data" --group fold "${network[@]}" "${small[@]}"
wait $! || { cat "$out/paper_and_seeds.txt"; exit 1; }
cat "$out/paper_and_seeds.txt"
