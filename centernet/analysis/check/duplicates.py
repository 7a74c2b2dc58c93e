"""Images of one photograph: in two splits (a leak), or twice in one split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from centernet.analysis.check.content import Content
from centernet.analysis.check.files import ImageFile, paths_of
from centernet.data.similar_images import Groups, group_similar, original_name


def check_duplicates(contents: Sequence[Content], files: Mapping[Path, ImageFile]) -> None:
    """Note images of one photograph in two splits, and equal ones in one split.

    Args:
        contents: of the splits.
        files: the images as read; those that are absent are compared by name alone.
    """
    entries = [(content, i) for content in contents for i in range(len(content.files))]
    paths = [path for content in contents for path in paths_of(content)]
    pictures = [files[path].picture if path in files else None for path in paths]
    upright = group_similar(pictures, turned=False)
    turned = group_similar(pictures, turned=True)
    related = Groups(len(entries))
    related.join(range(len(entries)), turned.label)
    related.join_equal(original_name(content.files[i]) for content, i in entries)
    leaks: set[int] = set()
    for groups, how in (
        (upright, "also in {}, as {}"),
        (turned, "mirrored or turned, also in {}, as {}"),
        (related, "another copy of the photograph is in {}, as {}"),
    ):
        for origin, *others in groups.several():
            first, first_image = entries[origin]
            for other in others:
                content, image = entries[other]
                if content is not first and other not in leaks:
                    leaks.add(other)
                    what = how.format(first.split.name, first.files[first_image])
                    content.add("image-leak", what, image=image)
    _note_duplicates(entries, upright)


def _note_duplicates(entries: Sequence[tuple[Content, int]], upright: Groups) -> None:
    for group in upright.several():
        (first, first_image), *others = (entries[i] for i in group)
        origin = first.files[first_image]
        for content, image in others:
            if content is first and content.files[image] != origin:
                content.add("image-duplicate", f"the same picture as {origin}", image=image)
