#!/usr/bin/env bash
# Installs the wheel with each extra into an environment of its own, and runs what the extra is for.
#
#     scripts/test_extras.sh                       # base, onnx, openvino, serve, track: no PyTorch
#     scripts/test_extras.sh onnx train            # these; train and its like install about 6 GB
#     PYTHON=python3.13 MODEL=model.onnx scripts/test_extras.sh onnx
#
# Without MODEL, an exported model, the extras are installed and imported, but detect nothing.
# Environments are deleted after their test. uv is used if it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
model=${MODEL:+$(realpath "$MODEL")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install() { # environment, requirement
    if command -v uv >/dev/null; then
        uv venv -q --python "$python" "$1" && uv pip install -q --python "$1/bin/python" "$2"
    else
        "$python" -m venv "$1" && "$1/bin/python" -m pip install -q "$2"
    fi
}

smoke() { # extra; in an empty folder, with the environment's bin folder first in PATH
    centernet doctor --json >doctor.json
    python - "$1" <<'PROGRAM'
import json, sys
extra = {"base": "centernet"}.get(sys.argv[1], sys.argv[1])
found = json.load(open("doctor.json"))
assert not found["errors"], found["errors"]
assert not found["features"].get(extra, {"lacking": []})["lacking"], found["features"][extra]
PROGRAM
    centernet --help >help.txt
    centernet completion bash >completion.bash
    python - <<'PROGRAM'
import json, numpy
from PIL import Image
Image.fromarray(numpy.zeros((64, 96, 3), numpy.uint8)).save("photo.jpg")
box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 20, 20], "area": 400, "iscrowd": 0}
image = {"id": 1, "file_name": "photo.jpg", "width": 96, "height": 64}
content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
json.dump(content, open("boxes.json", "w"))
PROGRAM
    centernet convert boxes.json yolo --format yolo --images none >/dev/null
    case $1 in
    onnx) detect --engine onnxruntime ;;
    openvino) detect --engine openvino ;;
    serve) python -c "import centernet.serve.app" ;;
    track) python -c "from centernet.inference.video.tracking import require_trackers as r; r()" ;;
    torch | export | train | all) pytorch "$1" ;;
    esac
}

detect() { [[ -z $model ]] || centernet detect photo.jpg --weights "$model" "$@" >/dev/null; }

pytorch() { # extra
    python -c "from centernet import CenterNet; CenterNet(1).eval()"
    [[ $1 == torch || $1 == export ]] || train
}

train() {
    python -c "from centernet.data.shapes import make_shapes; make_shapes('data', train=4, val=2, size=64)"
    centernet fit --config custom --data.root data --data.image_size 64 --data.workers 0 \
        --trainer.max_epochs 1 --trainer.accelerator cpu --model.pretrained false >fit.txt 2>&1
    centernet export runs/custom/best.ckpt model.onnx >/dev/null
    centernet detect photo.jpg --weights model.onnx >/dev/null
}

(("$#")) || set -- base onnx openvino serve track
if command -v uv >/dev/null; then
    uv build -q --wheel --out-dir "$work" .
else
    "$python" -m pip wheel -q --no-deps --wheel-dir "$work" .
fi
wheel=$(echo "$work"/*.whl)
unset PYTHONPATH
for extra in "$@"; do
    start=$SECONDS
    requirement=$wheel$([[ $extra == base ]] || echo "[$extra]")
    install "$work/$extra" "$requirement"
    mkdir "$work/$extra-folder"
    (cd "$work/$extra-folder" && PATH="$work/$extra/bin:$PATH" && smoke "$extra")
    size=$(du -sm "$work/$extra" | cut -f1)
    echo "$extra: works, $size MB, $((SECONDS - start)) s"
    rm -rf "${work:?}/$extra"
done
