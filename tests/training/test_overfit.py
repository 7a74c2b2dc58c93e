import csv
import json
import os
from pathlib import Path

import pytest

from centernet.training.train_cli import main

# Images of COCO with a crowd region each and few tiny objects.
IMAGES = (438, 564, 129648, 204805, 581632, 370162, 535506, 262148)


@pytest.mark.slow
def test_eight_images_with_crowds_are_learned_by_heart(tmp_path, monkeypatch):
    if "CENTERNET_TEST_DATA" not in os.environ:
        pytest.skip("CENTERNET_TEST_DATA is not set")
    data = Path(os.environ["CENTERNET_TEST_DATA"]) / "coco_mini"
    coco = json.loads((data / "annotations" / "instances_train2017.json").read_text())
    coco["images"] = [image for image in coco["images"] if image["id"] in IMAGES]
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] in IMAGES]
    assert len({a["image_id"] for a in coco["annotations"] if a["iscrowd"]}) == len(IMAGES)
    few = tmp_path / "few.json"
    few.write_text(json.dumps(coco))
    monkeypatch.chdir(tmp_path)
    main(
        [
            "fit",
            f"--data.root={data}",
            "--data.train_images=train2017",
            f"--data.train_annotations={few}",
            "--data.val_images=train2017",
            f"--data.val_annotations={few}",
            "--data.image_size=256",
            "--data.batch_size=4",
            "--data.workers=0",
            "--data.augment=null",
            "--model.neck=fpn",
            "--model.loss_weights={heatmap: 1.0, size: 0.5, offset: 1.0}",
            "--model.reference_batch_size=4",
            "--model.ema_decay=0.97",
            "--trainer.max_epochs=150",
            "--trainer.check_val_every_n_epoch=50",
            "--trainer.enable_progress_bar=false",
        ]
    )
    with (tmp_path / "runs" / "custom" / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    assert float(last["AP"]) > 0.8
