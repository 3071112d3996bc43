"""Files that stand for content which lies elsewhere: links, pointers and placeholders."""

from pathlib import Path

_ANNEX = "It is a pointer of git-annex or DataLad whose content was not fetched: datalad get"
_ANNEX_TOO = "(or git annex get)"
# Beginning of a pointer file: what it is and what to do; {} is the file's name.
_POINTERS = {
    b"/annex/objects/": f"{_ANNEX} {{}} {_ANNEX_TOO}.",
    b"version https://git-lfs": "It is a pointer of Git LFS whose content was not fetched: git lfs "
    "pull.",
    b"outs:": "It is a pointer of DVC whose content was not fetched: dvc pull.",
    b"IntxLNK": "It is a link of Windows that this system cannot follow. Copy the file itself.",
    b"L\0\0\0\x01\x14\2\0": "It is a shortcut of Windows. Copy the file itself.",
    b"<!DOCTYPE": "It is a web page, perhaps that of a log-in. Download the file again.",
    b"<!doctype": "It is a web page, perhaps that of a log-in. Download the file again.",
    b"<html": "It is a web page, perhaps that of a log-in. Download the file again.",
    b"\x1f\x8b": "It is compressed with gzip. Unpack it: gunzip.",
    bytes(
        16
    ): "It begins with zeros: its copy was interrupted, or the cloud holds it. Copy it again.",
    b"XSym\n": "It is a link of macOS that this system cannot follow. Copy the file itself.",
}
# Endings that other programs append to the name of a file that is not there yet.
_PLACEHOLDERS = {
    ".icloud": "iCloud has not downloaded it. Open it in the Finder (brctl download)",
    ".dvc": "DVC has not fetched it: dvc pull",
    ".lnk": "It is a shortcut of Windows. Copy the file itself",
    ".part": "Its download has not finished. Copy it again",
    ".partial": "Its download has not finished. Copy it again",
    ".filepart": "Its download has not finished. Copy it again",
    ".crdownload": "Its download has not finished. Copy it again",
    ".download": "Its download has not finished. Copy it again",
    ".tmp": "Its copy has not finished. Copy it again",
}


def explain_pointer(start: bytes, name: str) -> str | None:
    """Return what a pointer file is, and what to do, from its first bytes; None if it is none."""
    for signature, advice in _POINTERS.items():
        if start.startswith(signature):
            return advice.format(name)
    if b".git/annex/objects/" in start:
        # A link of git-annex on a file system without links is a text with its target.
        return f"{_ANNEX} {name} {_ANNEX_TOO}."
    return None


def explain_absence(path: Path, name: str) -> str:
    """Return why a path holds no file to read, and what to do, as sentences."""
    if path.is_dir():
        return "It is a folder; expected a file."
    if path.is_symlink():
        target = str(path.readlink()).replace("\\", "/")
        if "annex/objects/" in target:
            return (
                "It is a link of git-annex or DataLad whose content was not fetched: datalad get "
                f"{name} {_ANNEX_TOO}."
            )
        return "It is a link that leads nowhere. Restore its target, or copy the file itself."
    if path.exists():
        return "It is not a regular file. Copy the file itself."
    for ending, reason in _PLACEHOLDERS.items():
        if any(path.with_name(f"{dot}{path.name}{ending}").exists() for dot in (".", "")):
            return f"{reason}."
    return "It does not exist. Check the path."


def explain_placeholder(name: str, names: set[str]) -> str | None:
    """Return why a file of another name stands for a TIFF that is not there; None if it does not.

    Parameters
    ----------
    name : str
        Name of a file in a folder of planes.
    names : set of str
        Names of all files in the folder.
    """
    ending = "." + name.rpartition(".")[2].lower()
    stem = name[: -len(ending)]
    if not stem.lower().endswith((".tif", ".tiff")):
        return None
    hidden = stem.removeprefix(".")
    if ending in _PLACEHOLDERS and not {stem, hidden} & names:
        return f"{_PLACEHOLDERS[ending]}."
    if name.startswith(".") and len(ending) == 7 and hidden not in names:
        return "A copy with rsync has not finished. Copy it again."
    return None
