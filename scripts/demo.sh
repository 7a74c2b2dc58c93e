#!/usr/bin/env bash
# From nothing to detections: makes the shapes, trains, evaluates, draws. `make demo` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
name=shapes_resnet10t

step() { printf '\n$ %s\n' "$*"; "$@"; }

step python data/make_shapes.py
step python train.py fit --config configs/$name.yaml

run=$(ls -td runs/$name*/ | head -n 1) # a second fit stands in runs/NAME-2
run=${run%/}
step python train.py validate --config configs/$name.yaml --ckpt_path "$run/best.ckpt"
step python demo.py data/shapes/val --weights "$run/best.ckpt" --heatmaps --output "$run/demo"

cat <<EOF

Look at   $run/demo          detections on images the network never saw, and the heatmaps they came from
          $run/report.html   how it got there, and what it misses; or: .venv/bin/tensorboard --logdir runs
Go on     source .venv/bin/activate
          python demo.py 0 --weights $run/best.ckpt --show   (hold a drawn shape before the camera)
          data/README.md says how to train on images of your own
EOF
