"""The bytes of a chunk, compared with what they and the metadata state before zarr decodes them."""

from ...errors import InputError
from .codecs import changes_size, stated_sizes
from .layout import Layout

HEADER = 64  # bytes that are looked at
_OVERHEAD = 2**16  # bytes that compression may add to a chunk, with a wide margin
_POINTERS = {  # first bytes of the small files that stand for data kept elsewhere
    b"/annex/objects/": "git-annex or DataLad: datalad get",
    b"version https://git-lfs": "Git LFS: git lfs pull",
}


def check_size(layout: Layout, size: int, header: bytes, label: str) -> None:
    """Compare the size of a chunk with what its first bytes state.

    Parameters
    ----------
    layout : Layout
    size : int
        Bytes of the chunk as it is stored.
    header : bytes
        Its first `HEADER` bytes, or fewer if it is shorter.
    label : str
        Names the chunk in messages.

    Raises
    ------
    InputError
        It is cut short, or larger than a chunk can be.
    """
    encoded, decoded = stated_sizes(layout.codecs, header, layout.chunk_bytes)
    if encoded not in (-1, size) or size == 0:
        raise InputError(cut_short(label, size))
    most = find_most(layout)
    if most is not None and (decoded > layout.chunk_bytes or size > most):
        raise InputError(
            f"{label} holds more than a chunk of {layout.chunk_bytes} bytes. Copy it again from "
            "its source, or write the zarr again."
        )


def find_most(layout: Layout) -> int | None:
    """Return how many bytes a chunk may have as it is stored; None if its codecs do not say."""
    return None if changes_size(layout.codecs) else 2 * (layout.chunk_bytes + _OVERHEAD) + 1


def refuse_pointer(header: bytes, label: str) -> None:
    """Refuse a small file whose first bytes say that it stands for data kept elsewhere."""
    for start, advice in _POINTERS.items():
        if header.startswith(start):
            raise InputError(
                f"{label} only stands for data kept elsewhere ({advice}). Fetch them first."
            )


def cut_short(label: str, size: int) -> str:
    """Return the message for a chunk that ends too early."""
    return (
        f"{label} is cut short, it has {size} bytes. Copy it again from its "
        "source, or write the zarr again."
    )
