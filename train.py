r"""Train and validate a CenterNet; the same as ``centernet fit`` and ``centernet validate``.

python train.py fit --config configs/custom.yaml --data.root DIR
python train.py fit --config configs/custom.yaml --data.root DIR --ckpt_path last
python train.py validate --config configs/custom.yaml --data.root DIR \
    --ckpt_path runs/custom/best.ckpt
python train.py fit --help
"""

from centernet.cli import train

if __name__ == "__main__":
    train()
