"""Find objects in images, videos or camera pictures, and draw them.

python demo.py photo.jpg --weights runs/custom/best.ckpt
python demo.py folder/ --weights runs/custom/best.ckpt --heatmaps --output out
python demo.py 0 --weights runs/custom/best.ckpt --show
python demo.py --help
"""

import sys

from centernet.cli import main

if __name__ == "__main__":
    main(["detect", *sys.argv[1:]])
