"""First bytes of files that hold points in a form that is not read, and what to do instead."""

from ..errors import InputError

_AS_CSV = "Save the points as CSV with columns x, y and z, in voxels from 0."
_FORMS = {
    b"\x1f\x8b": "is compressed with gzip. Unpack it.",
    b"PK\x03\x04": "is a zip archive, such as ImageJ's RoiSet or an Excel workbook. " + _AS_CSV,
    b"Iout": "is an ImageJ ROI. " + _AS_CSV,
    b"\x89HDF": "is HDF5. " + _AS_CSV,
    b"\x93NUMPY": "is a NumPy array. " + _AS_CSV,
    b"\xd0\xcf\x11\xe0": "is an Excel workbook. " + _AS_CSV,
    b"%PDF": "is a PDF. Give a file of points.",
    b"II*\0": "is a TIFF image. Give a file of points: the order is VOLUME POINTS.",
    b"MM\0*": "is a TIFF image. Give a file of points: the order is VOLUME POINTS.",
}


def refuse_other_forms(head: bytes, source: str) -> None:
    """Raise an `InputError` if the first bytes are those of a form that is not read.

    Parameters
    ----------
    head : bytes
        First bytes of the file, 16 or more unless it is shorter.
    source : str
        Name of the file, for the message.
    """
    for signature, problem in _FORMS.items():
        if head.startswith(signature):
            raise InputError(f"The points file {source!r} {problem}")
