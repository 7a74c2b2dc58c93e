import pytest
from sample_datasets import boxes, only_split, picture, text

from centernet.data.formats import read_dataset
from centernet.data.formats.detect import detect_format


def test_csv_of_tensorflow_and_roboflow(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.png")
        rows = "a.png,60,40,cat,1,2,4,6\na.png,60,40,dog,1,2,x,6\na.png,60,40,,1,2,3,4\n"
        header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        text(tmp_path / split / "_annotations.csv", header + rows)
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val"]
    for split, folder in zip(splits.values(), ("train", "valid"), strict=True):
        assert split.images == tmp_path / folder
        assert boxes(split) == [("a.png", "cat", [1, 2, 3, 4])]
        assert [note.split(": ")[1].partition("; ")[0] for note in split.notes] == [
            "1 objects without a valid box, left out",
            "1 objects without a class, left out",
        ]


def test_csv_of_kaggle(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / split / "a.png")  # equal names, and the CSV has no suffix
    picture(tmp_path / "train" / "b.png")
    rows = 'a,60,40,"[1.0, 2, 3, 4]",x\nb,60,40,,x\n'
    text(tmp_path / "train.csv", "image_id,width,height,bbox,source\n" + rows)
    text(tmp_path / "sample_submission.csv", "image_id,PredictionString\na,\n")
    found = only_split(tmp_path)
    assert found.name == "train" and found.images == tmp_path / "train"
    assert boxes(found) == [("a.png", "object", [1, 2, 3, 4])]
    assert len(found.coco["images"]) == 2
    assert "left out 1 images without annotations" in found.notes[-1]


def test_csv_of_retinanet(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    text(tmp_path / "val.csv", "/data/images/b.png,,,,,\n/data/images/a.png,1,2,4,6,cat\n")
    text(tmp_path / "classes.csv", "cat,0\n")
    found = only_split(tmp_path)
    assert found.name == "val"
    assert [i["file_name"] for i in found.coco["images"]] == ["b.png", "a.png"]
    assert boxes(found) == [("a.png", "cat", [1, 2, 3, 4])]


def test_csv_of_open_images(tmp_path):
    picture(tmp_path / "train" / "0a1b.png")  # 40 high, 60 wide
    rows = (
        "0a1b,xclick,/m/01,1,0.1,0.6,0.25,0.5,0,0,0,0,0\n"
        "0a1b,xclick,/m/02,1,0,0.5,0,1,0,0,1,0,0\n"
        "ffff,xclick,/m/01,1,0,0.5,0,1,0,0,0,0,0\n"
    )
    header = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,"
        "IsGroupOf,IsDepiction,IsInside\n"
    )
    text(tmp_path / "oidv6-train-annotations-bbox.csv", header + rows)
    text(tmp_path / "class-descriptions-boxable.csv", "/m/01,Bolt\n")
    found = only_split(tmp_path)
    assert boxes(found) == [
        ("0a1b.png", "Bolt", [6, 10, 30, 10]),
        ("0a1b.png", "/m/02", [0, 0, 30, 40]),
    ]
    assert [a["iscrowd"] for a in found.coco["annotations"]] == [0, 1]
    notes = " ".join(found.notes)
    assert "1 missing images, left out; the first is ffff" in notes
    assert "1 objects whose class has no name" in notes


@pytest.mark.parametrize(
    ("header", "row", "box"),
    [
        ("Image;Label;x;y;width;height", "a.png;cat;1;2;3;4", [1, 2, 3, 4]),
        ("frame,xmin,xmax,ymin,ymax,class_id", "a.png,1,4,2,6,cat", [1, 2, 3, 4]),
        ("image_path\tx1\ty1\tx2\ty2\tlabel", "a.png\t1\t2\t4\t6\tcat", [1, 2, 3, 4]),
        ("image_id,class_name,x_min,y_min,x_max,y_max", "a,cat,1,2,4,6", [1, 2, 3, 4]),
        ("file_name,label,image_width,image_height,bbox", "a.png,cat,60,40,1 2 3 4", [1, 2, 3, 4]),
    ],
)
def test_other_columns(tmp_path, header, row, box):
    picture(tmp_path / "a.png")
    text(tmp_path / "boxes.csv", f"\ufeff{header}\n\n{row}\n")
    assert [("a.png", "cat", box)] == boxes(only_split(tmp_path))


def test_a_column_can_name_the_split(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    text(tmp_path / "x.csv", "file,label,bbox,split\na.png,c,[1 2 3 4],Valid\nb.png,c,,train\n")
    assert list(read_dataset(tmp_path)) == ["train", "val"]


def test_a_list_of_detections_is_no_ground_truth(tmp_path):
    picture(tmp_path / "a.png")
    row = "a.png,cat,0.9,1,2,4,6\n"
    text(tmp_path / "detections.csv", f"image,class,score,x1,y1,x2,y2\n{row}")
    assert detect_format(tmp_path) == []
