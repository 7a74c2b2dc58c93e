#!/usr/bin/env bash
# Generates the shapes dataset, trains, validates and draws detections. Run by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
name=shapes_resnet10t

show() { printf '\n$ %s\n' "$*"; }
step() { show "$@"; "$@"; }

step python data/make_shapes.py
step python train.py fit --config configs/$name.yaml

run=$(ls -td runs/$name*/ | head -n 1) # a second training run is in runs/NAME-2
run=${run%/}
# Most of their time is loading libraries on one core each, so both run at the same time.
detect=(python demo.py data/shapes/val --weights "$run/best.ckpt" --heatmaps --output "$run/demo")
output=$(mktemp)
trap 'rm -f "$output"' EXIT
"${detect[@]}" >"$output" 2>&1 &
step python train.py validate --config configs/$name.yaml --ckpt_path "$run/best.ckpt"
wait $! && failed=0 || failed=$?
show "${detect[@]}"
cat "$output"
((failed == 0)) || exit "$failed"

cat <<END

Results   $run/demo          detections and heatmaps of the validation images
          $run/report.html   training curves and errors; or: .venv/bin/tensorboard --logdir runs
Next      source .venv/bin/activate
          python demo.py 0 --weights $run/best.ckpt --show   (hold a drawn shape in front of the camera)
          data/README.md explains how to train on your own images
END
