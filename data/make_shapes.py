"""Generate the shapes dataset: small drawn images with COCO annotations, ready to train on.

    python data/make_shapes.py                              # 400 + 80 images in data/shapes
    python data/make_shapes.py --train 2000 --seed 1 --output data/more_shapes
    python data/make_shapes.py --size 256 --force           # replaces a dataset of other options

Equal options give equal files. An existing dataset of the same options is kept.
"""

from centernet.data.shapes import main

main()
