"""Detect objects in images, videos or camera pictures, and draw them.

python demo.py photo.jpg --weights runs/custom/best.ckpt
python demo.py folder/ --weights runs/custom/best.ckpt --heatmaps --output out
python demo.py 0 --weights runs/custom/best.ckpt --show
python demo.py --help
"""

from centernet.cli import detect

if __name__ == "__main__":
    detect()
