import pytest
from sample_datasets import boxes, labelme, only_split, picture, text, via, write_json

from centernet.data.formats import read_dataset
from centernet.errors import InputError


def test_labelme(tmp_path):
    picture(tmp_path / "train" / "a.png")
    picture(tmp_path / "valid" / "b.png")
    rest = {"label": "dog", "points": [[1, 2], [3, 4]], "shape_type": "rectangle"}
    content = labelme(
        ("cat", "rectangle", [[30, 25], [10, 5]]),
        ("cat", "polygon", [[1, 2], [9, 3], [5, 8]]),
        ("dog", "circle", [[20, 20], [23, 24]]),
        ("dog", "point", [[3, 3]]),
        ("", "rectangle", [[0, 0], [1, 1]]),
        ("dog", "rectangle", [[0, "x"], [1, 1]]),
        rest | {"difficult": True},
        imageHeight=80,
        imageWidth=60,
    )
    write_json(tmp_path / "train" / "a.json", content)
    # The image was renamed together with its file.
    write_json(tmp_path / "valid" / "b.json", labelme(imagePath="..\\old\\c.png"))
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val"]
    train = splits["train"]
    assert boxes(train) == [
        ("a.png", "cat", [10, 5, 20, 20]),
        ("a.png", "cat", [1, 2, 8, 6]),
        ("a.png", "dog", [15, 15, 10, 10]),
        ("a.png", "dog", [3, 3, 0, 0]),
        ("a.png", "dog", [1, 2, 2, 2]),
    ]
    assert [a["iscrowd"] for a in train.coco["annotations"]] == [0, 0, 0, 0, 1]
    assert train.coco["images"][0]["height"] == 40
    remarks = [note.partition("; ")[0].removeprefix(f"{tmp_path}: ") for note in train.notes]
    assert remarks[:4] == [
        "1 images of another size than annotated, their own is used",
        "2 outlines read as their enclosing boxes",
        "1 objects without a class, left out",
        "1 objects without a valid box, left out",
    ]
    assert [i["file_name"] for i in splits["val"].coco["images"]] == ["b.png"]
    assert splits["val"].images == tmp_path / "valid"


def region(attributes, **shape):
    return {"shape_attributes": shape, "region_attributes": attributes}


RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}


@pytest.mark.parametrize("is_project", [True, False])
def test_via(tmp_path, is_project):
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    polygon = {"name": "polygon", "all_points_x": [5, 9, 7], "all_points_y": [6, 6, 12]}
    ellipse = {"name": "ellipse", "cx": 20, "cy": 20, "rx": 8, "ry": 3, "theta": 1.5707963267949}
    content = via(
        a=[
            region({"id": "7", "kind": "cat"}, **RECT),
            region({"id": "8", "kind": {"cat": False, "dog": True}}, **polygon),
            region({"kind": "dog"}, name="circle", cx=20, cy=20, r=4),
            region({"kind": "dog"}, **ellipse),
            region({"kind": "dog"}, name="point", cx=1, cy=1),
        ],
        b={"0": region({"kind": "cat"}, **RECT)},  # as VIA 1 writes it
        c=[],
    )
    content = {"_via_settings": {}, "_via_img_metadata": content} if is_project else content
    write_json(tmp_path / "via_project.json", content)
    found = only_split(tmp_path)
    assert boxes(found) == [
        ("a.png", "cat", [1, 2, 3, 4]),
        ("a.png", "dog", [5, 6, 4, 6]),
        ("a.png", "dog", [16, 16, 8, 8]),
        ("a.png", "dog", [17, 12, 6, 16]),
        ("a.png", "dog", [1, 1, 0, 0]),
        ("b.png", "cat", [1, 2, 3, 4]),
    ]
    assert len(found.coco["images"]) == 3
    notes = " ".join(found.notes)
    assert "'kind' is the class, not id" in notes


def test_via_without_classes(tmp_path):
    picture(tmp_path / "a.png")
    write_json(tmp_path / "via.json", via(a=[region({}, **RECT)]))
    found = only_split(tmp_path)
    assert boxes(found) == [("a.png", "object", [1, 2, 3, 4])]
    assert "'object'" in " ".join(found.notes)


CVAT = """<?xml version="1.0"?><annotations><version>1.1</version><meta><task><labels>
<label><name>nut</name></label><label><name>bolt</name></label></labels></task></meta>{}
</annotations>"""


def test_cvat_xml(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.png")
    shapes = """<box label="bolt" xtl="1.5" ytl="2" xbr="4" ybr="6"/>
    <box label="bolt" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90"/>
    <polygon label="bolt" points="1,2;9.5,3;5,8"/><polyline label="bolt" points="1,2;9,3"/>
    <ellipse label="bolt" cx="20" cy="20" rx="8" ry="3"/>
    <mask label="bolt" left="4" top="5" width="6" height="7" rle="1,2"/>
    <points label="bolt" points="1,2"/><tag label="bolt"/>
    <points label="bolt" points="1,2;3,4"/>
    <box label="bolt" xtl="1" ytl="2" xbr="x" ybr="6"/>"""
    first = (
        f'<image id="0" name="a.png" width="60" height="40" subset="Validation">{shapes}</image>'
    )
    second = '<image id="1" name="b.png" width="60" height="40" subset="Train"></image>'
    text(tmp_path / "annotations.xml", CVAT.format(first + second))
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val"]
    assert boxes(splits["val"]) == [
        ("a.png", "bolt", [1.5, 2, 2.5, 4]),
        ("a.png", "bolt", [13, 7, 4, 10]),
        ("a.png", "bolt", [1, 2, 8.5, 6]),
        ("a.png", "bolt", [1, 2, 8, 1]),
        ("a.png", "bolt", [12, 17, 16, 6]),
        ("a.png", "bolt", [4, 5, 6, 7]),
        ("a.png", "bolt", [1, 2, 0, 0]),
    ]
    assert [c["name"] for c in splits["val"].coco["categories"]] == ["nut", "bolt"]
    remarks = [note.partition("; ")[0].split(": ")[1] for note in splits["val"].notes]
    assert remarks == [
        "5 outlines and rotated boxes read as their enclosing boxes",
        "2 groups of points, skeletons and tags, left out",
        "1 objects without a valid box, left out",
    ]


def test_cvat_for_video_is_named(tmp_path):
    path = text(tmp_path / "annotations.xml", CVAT.format('<track id="0" label="nut"/>'))
    with pytest.raises(InputError, match=rf"{path} is CVAT for video with 1 tracks"):
        read_dataset(tmp_path)


def datumaro(**annotations):
    return {
        "categories": {"label": {"labels": [{"name": "nut"}, {"name": "bolt"}]}},
        "items": [
            {"id": name, "annotations": found, "image": {"path": f"{name}.png", "size": [40, 60]}}
            for name, found in annotations.items()
        ],
    }


def test_datumaro(tmp_path):
    annotations = [
        {"type": "bbox", "label_id": 1, "bbox": [1, 2, 3, 4]},
        {"type": "bbox", "label_id": 0, "bbox": [10, 10, 10, 4], "attributes": {"rotation": 90}},
        {"type": "polygon", "label_id": 1, "points": [1, 2, 9, 3, 5, 8]},
        {"type": "bbox", "label_id": 1, "bbox": [5, 5, 9, 9], "attributes": {"is_crowd": True}},
        {"type": "bbox", "label_id": 2, "bbox": [1, 2, 3, 4]},
        {"type": "label", "label_id": 0},
        {"type": "bbox", "label_id": 0, "bbox": [1, 2, 3]},
    ]
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "a.png")
        write_json(tmp_path / "annotations" / f"{split}.json", datumaro(a=annotations))
    splits = read_dataset(tmp_path)
    assert list(splits) == ["train", "val"]
    for name, split in splits.items():
        assert split.images == tmp_path / "images" / name
        assert boxes(split) == [
            ("a.png", "bolt", [1, 2, 3, 4]),
            ("a.png", "nut", [13, 7, 4, 10]),
            ("a.png", "bolt", [1, 2, 8, 6]),
            ("a.png", "bolt", [5, 5, 9, 9]),
        ]
        assert [a["iscrowd"] for a in split.coco["annotations"]] == [0, 0, 0, 1]
        assert len(split.notes) == 5


def rectangle(label="cat", kind="rectanglelabels", **value):
    value = {"x": 10, "y": 5, "width": 50, "height": 25} | value
    labels = {kind: [label]} if label else {}
    return {"type": kind, "original_width": 60, "original_height": 40, "value": value | labels}


def task(*results, image="/data/upload/1/1a2b3c4d-a.png", **more):
    annotations = [{"result": list(results), "was_cancelled": False}]
    return {"id": 1, "data": {"image": image}, "annotations": annotations} | more


def test_label_studio(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "sub" / "b.png")
    content = [
        task(
            rectangle(),
            rectangle("dog", rotation=90),
            rectangle("dog", "ellipselabels", x=50, y=50, radiusX=10, radiusY=20),
            rectangle("dog", "polygonlabels", points=[[0, 0], [50, 50], [25, 75]]),
            rectangle("dog", "brushlabels", rle=[1, 2]),
            rectangle("", "rectangle") | {"id": "r"},
            rectangle("pig", "labels") | {"id": "r"},
            rectangle(x=None),
        ),
        task(image="s3://bucket/sub/b.png?X-Signature=1", id=2),
        {"id": 3, "data": {"image": "c.png"}, "annotations": [{"was_cancelled": True}]},
    ]
    write_json(tmp_path / "project-1-at-2024.json", content)
    found = only_split(tmp_path)
    assert found.name == "train"
    assert boxes(found) == [
        ("a.png", "cat", [6, 2, 30, 10]),
        ("a.png", "dog", [-4, 2, 10, 30]),
        ("a.png", "dog", [24, 12, 12, 16]),
        ("a.png", "dog", [0, 0, 30, 30]),
        ("a.png", "pig", [6, 2, 30, 10]),
    ]
    assert [i["file_name"] for i in found.coco["images"]] == ["a.png", "sub/b.png"]
    notes = " ".join(found.notes)
    assert "1 tasks without an annotation, left out; the first is task 3" in notes
    assert "3 outlines and rotated boxes" in notes and "1 results that are not boxes" in notes


@pytest.mark.parametrize(("is_truth", "label"), [(False, "second"), (True, "first")])
def test_label_studio_with_several_annotators(tmp_path, is_truth, label):
    picture(tmp_path / "a.png")
    annotations = [
        {"result": [rectangle("first")], "ground_truth": is_truth},
        {"result": [rectangle("second")]},
        {"result": [rectangle("third")], "was_cancelled": True},
    ]
    write_json(tmp_path / "x.json", [task() | {"annotations": annotations}])
    found = only_split(tmp_path)
    assert [("a.png", label, [6, 2, 30, 10])] == boxes(found)
    assert "1 tasks with several annotations" in " ".join(found.notes)


def test_label_studio_json_min(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    value = {"x": 10, "y": 5, "width": 50, "height": 25, "rotation": 0, "rectanglelabels": ["cat"]}
    sides = {"original_width": 60, "original_height": 40}
    more = {"annotator": 1, "annotation_id": 3, "created_at": "2024-01-01"}
    content = [
        {"image": "/data/upload/1/1a2b3c4d-a.png", "id": 1, "label": [value | sides]} | more,
        {"image": "/data/upload/1/1a2b3c4d-b.png", "id": 2} | more,
    ]
    write_json(tmp_path / "project.json", content)
    found = only_split(tmp_path)
    assert boxes(found) == [("a.png", "cat", [6, 2, 30, 10])]
    assert len(found.coco["images"]) == 2


def test_via_3(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    attribute = {"aname": "kind", "type": 4, "options": {"0": "cat", "1": "dog"}}
    shapes = {
        "1_a": ("1", [2, 1, 2, 3, 4], {"1": "0"}),
        "1_b": ("1", [7, 1, 2, 9, 3, 5, 8], {"1": "1"}),
        "1_c": ("1", [1, 5, 5], {"1": "1"}),
    }
    content = {
        "project": {"pname": "mine"},
        "attribute": {"1": attribute},
        "file": {"7": {"fid": 7, "fname": "a.png", "type": 2, "src": "a.png"}}
        | {"8": {"fid": 8, "fname": "b.png", "type": 2, "src": "/home/me/b.png"}},
        "view": {"1": {"fid_list": [7]}, "2": {"fid_list": ["8"]}},
        "metadata": {
            key: {"vid": view, "flg": 0, "z": [], "xy": xy, "av": av}
            for key, (view, xy, av) in shapes.items()
        },
    }
    write_json(tmp_path / "project.json", content)
    found = only_split(tmp_path)
    assert boxes(found) == [
        ("a.png", "cat", [1, 2, 3, 4]),
        ("a.png", "dog", [1, 2, 8, 6]),
        ("a.png", "dog", [5, 5, 0, 0]),
    ]
    assert len(found.coco["images"]) == 2


@pytest.mark.parametrize("start", ["", "#"])
def test_via_csv(tmp_path, start):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    rect = '"{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}"'
    text(
        tmp_path / "via_export.csv",
        f"{start}filename,file_size,file_attributes,region_count,region_id,"
        "region_shape_attributes,region_attributes\n"
        f'a.png,1,"{{}}",2,0,{rect},"{{""kind"":""cat""}}"\n'
        f'a.png,1,"{{}}",2,1,{rect},"{{""kind"":""dog""}}"\n'
        'b.png,1,"{}",0,0,"{}","{}"\n',
    )
    found = only_split(tmp_path)
    assert [label for _, label, _ in boxes(found)] == ["cat", "dog"]
    assert len(found.coco["images"]) == 2


@pytest.mark.parametrize(
    ("name", "content", "dialect"),
    [
        ("a.tfrecord", "", "TFRecord"),
        ("labelTxt/a.txt", "1 1 2 1 2 2 1 2 plane 0", "DOTA"),
        ("label_2/a.txt", "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0", "KITTI"),
        ("a.json", '[{"image": "a.png", "annotations": [{"coordinates": {}}]}]', "CreateML"),
    ],
)
def test_formats_that_are_not_read_are_named(tmp_path, name, content, dialect):
    picture(tmp_path / "a.png")
    text(tmp_path / name, content)
    with pytest.raises(InputError, match=rf"{dialect}.*COCO"):
        read_dataset(tmp_path)
