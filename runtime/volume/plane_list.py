"""The plane files of a folder or of a text file that lists them."""

import re
from itertools import pairwise
from pathlib import Path

from ..errors import InputError
from .file_pointer import explain_absence, explain_placeholder
from .plane_names import ADVICE, has_clear_order, natural_key, sort_planes

SUFFIXES = (".tif", ".tiff")
# Other images: among planes, they would be planes that are left out.
_IMAGES = (".png", ".jp2", ".j2k", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".btf", ".tf8", ".gz")
_MOST_TEXT = 2**26  # bytes of a text file


def list_folder(folder: Path, name: str) -> list[Path]:
    """Return the plane files of a folder, in the order of the planes.

    Parameters
    ----------
    folder : path
    name : str
        Name of the folder, for messages.

    Raises
    ------
    InputError
        There is none, one of them leads nowhere, or their names leave the order open.
    """
    names = {path.name for path in folder.iterdir()}
    # Hidden files are of the system (macOS: ._plane.tif), unless they stand for a plane.
    for other in sorted(names):
        if reason := explain_placeholder(other, names):
            raise InputError(f"In {name}, the plane {other} cannot be read. {reason}")
    visible = [folder / other for other in sorted(names) if not other.startswith(".")]
    files = [path for path in visible if _is_tiff(path)]
    images = [path for path in visible if path.suffix.lower() in _IMAGES]
    if not files:
        detail = f", but {len(images)} such as {images[0].name}" if images else ""
        folders = [p.name for p in visible if p.is_dir() and any(map(_is_tiff, p.iterdir()))]
        if folders:
            detail = f", but its folders {', '.join(folders[:5])} do: give one of them"
        raise InputError(
            f"The folder {name} holds no TIFF files{detail}; expected planes named *.tif or "
            "*.tiff, or an OME-Zarr. Convert other images to TIFF first (Fiji)."
        )
    check_files(files, name)
    _check_other_images(files, images, name)
    return sort_planes(files, name)


def read_plane_list(path: Path, name: str) -> list[Path]:
    """Return the plane files that a text file lists, one path per line, in that order.

    Relative paths start from the folder of the text file; empty lines are left out.

    Parameters
    ----------
    path : path
        The text file.
    name : str
        Its name, for messages.

    Raises
    ------
    InputError
        The text cannot be read, or lists no planes, files that do not exist or that are no TIFF,
        or an order in which cellfinder would not read them.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST_TEXT + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if len(raw) > _MOST_TEXT or not text.strip() or "\0" in text:
        raise InputError(
            f"{name} is no list of planes; expected a text (UTF-8) with the path of one TIFF plane "
            "per line."
        )
    lines = [line.strip().strip('"') for line in re.split(r"[\r\n]+", text)]
    lines = [line for line in lines if line]
    files = [path.parent / line for line in lines]
    for line, file in zip(lines, files, strict=True):
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{name} lists {line!r:.200}; expected the path of a TIFF plane (.tif, .tiff) in "
                "each line."
            )
    check_files(files, name)
    _check_order(lines, name)
    _check_gaps(files, name)
    return files


def _check_order(lines: list[str], name: str) -> None:
    """Check that a list has each plane once, in natural order."""
    ordered = sorted(lines, key=natural_key)
    for line, next_line in pairwise(ordered):
        if line == next_line:
            raise InputError(f"{name} lists {line} twice; expected each plane once.")
    for line, place in zip(lines, ordered, strict=True):
        if line != place:
            raise InputError(
                f"{name} lists {line} where the numbers of the names put {place}; expected the "
                "order of the numbers, in which other programs, cellfinder too, read the list. "
                "Sort the lines, or rename the files."
            )


def _check_gaps(files: list[Path], name: str) -> None:
    """Check that a list leaves out no plane of its folder, unless at the ends or in equal steps."""
    if len({path.parent for path in files}) != 1 or has_clear_order(files):
        return
    first, last = natural_key(files[0].name), natural_key(files[-1].name)
    for path in sorted(set(filter(_is_tiff, files[0].parent.iterdir())).difference(files)):
        is_like = _pattern(path.stem) == _pattern(files[0].stem)
        if is_like and first < natural_key(path.name) < last:
            raise InputError(
                f"{name} leaves out {path.name}, which lies between the planes that it lists; "
                "expected all of them. Add it, or move it away."
            )


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def check_files(files: list[Path], name: str) -> None:
    """Refuse paths that lead to no file; ``name`` is that of the folder or list."""
    for path in files:
        if not path.is_file():
            raise InputError(
                f"In {name}, the plane {path.name} cannot be read. "
                f"{explain_absence(path, path.name)}"
            )


def _check_other_images(files: list[Path], images: list[Path], name: str) -> None:
    """Refuse images of other kinds whose names continue those of the planes."""
    stems = {path.stem.lower() for path in files}
    patterns = {_pattern(stem) for stem in stems}
    for image in images:
        stem = image.name.lower()
        while Path(stem).suffix in (*_IMAGES, *SUFFIXES):
            stem = Path(stem).stem
        if stem not in stems and _pattern(stem) in patterns:
            raise InputError(
                f"In {name}, {image.name} lies among the planes but is no TIFF; expected TIFF "
                f"planes. Convert it, or move it away. {ADVICE}"
            )


def _pattern(stem: str) -> str:
    """Return a name with each number replaced by a sign."""
    return re.sub("[0-9]+", "#", stem)
