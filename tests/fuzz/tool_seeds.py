"""Valid files of annotation tools, as JSON content or text, by kind; images are a.png, 32x24."""

_RECTANGLE = {"x": 1, "y": 2, "width": 9, "height": 8}


def _result(kind: str, **value: object) -> dict:
    value = _RECTANGLE | value | {kind: ["cat"]}
    return {"id": "r", "type": kind, "original_width": 32, "original_height": 24, "value": value}


LABELME = {
    "shapes": [
        {"label": "cat", "points": [[1, 2], [9, 8]], "shape_type": "rectangle", "difficult": True},
        {"label": "cat", "points": [[9, 9], [12, 12]], "shape_type": "circle"},
        {"label": "dog", "points": [[1, 2], [9, 3], [5, 8]], "shape_type": "polygon"},
    ],
    "imagePath": "a.png",
    "imageHeight": 24,
    "imageWidth": 32,
}
_VIA_SHAPES = (
    {"name": "rect"} | _RECTANGLE,
    {"name": "ellipse", "cx": 12, "cy": 12, "rx": 8, "ry": 3, "theta": 0.5},
    {"name": "polygon", "all_points_x": [5, 9, 7], "all_points_y": [6, 6, 12]},
)
VIA = {
    "a.png-1": {
        "filename": "a.png",
        "regions": [
            {"shape_attributes": shape, "region_attributes": {"kind": "cat", "is": {"big": True}}}
            for shape in _VIA_SHAPES
        ],
    }
}
DATUMARO = {
    "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}},
    "items": [
        {
            "id": "a",
            "annotations": [
                {"type": "bbox", "label_id": 0, "bbox": [1, 2, 9, 8],
                 "attributes": {"rotation": 30, "is_crowd": False}},
                {"type": "polygon", "label_id": 1, "points": [1, 2, 9, 3, 5, 8]},
            ],
            "image": {"path": "a.png", "size": [24, 32]},
        }
    ],
}  # fmt: skip
LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-a.png"},
        "annotations": [
            {
                "was_cancelled": False,
                "result": [
                    _result("rectanglelabels", rotation=30),
                    _result("ellipselabels", radiusX=5, radiusY=6),
                    _result("polygonlabels", points=[[0, 0], [50, 50], [25, 75]]),
                ],
            }
        ],
    }
]
CVAT = """<?xml version="1.0"?><annotations><version>1.1</version>
<image id="0" name="a.png" width="32" height="24" subset="train">
<box label="cat" xtl="1" ytl="2" xbr="9" ybr="8" rotation="30"/>
<polygon label="dog" points="1,2;9,3;5,8"/><ellipse label="cat" cx="9" cy="9" rx="5" ry="3"/>
</image></annotations>
"""
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,32,24,cat,1,2,9,8\na.png,,,,,,,\n"
OPEN_IMAGES = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/01,0.1,0.5,0.2,0.6,1\n"

# The name of the file, and its content.
FILES: dict[str, tuple[str, object]] = {
    "labelme": ("a.json", LABELME),
    "via": ("via.json", VIA),
    "datumaro": ("annotations/default.json", DATUMARO),
    "labelstudio": ("project.json", LABEL_STUDIO),
    "cvat": ("annotations.xml", CVAT),
    "csv": ("boxes.csv", CSV),
    "openimages": ("boxes.csv", OPEN_IMAGES),
}
