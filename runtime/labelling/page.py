"""The page: one HTML file that holds its scripts, its style and all its data.

The pictures are plain eight-bit codes in base64, drawn on a canvas. As PNG they would be a fifth
smaller, but brightness and contrast need the values of the pixels, and browsers that protect
against fingerprinting falsify what a page reads back from a decoded image.

A content security policy allows the page's own script and style, by their hashes, and nothing
else: whatever a file name holds, it cannot run, and nothing reaches a network.
"""

import base64
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .page_text import hash_for_policy, json_for_html

_FOLDER = Path(__file__).with_name("page")
SCRIPTS = (  # in the order in which they stand in the page
    "data.js",
    "planes.js",
    "history.js",
    "store.js",
    "algebra.js",
    "evidence.js",
    "learner.js",
    "selection.js",
    "estimate.js",
    "quality.js",
    "chart.js",
    "view.js",
    "page.js",
)
_MARK = re.compile(r"\{\{(\w+)\}\}")
_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)


def render_page(
    title: str,
    subtitle: str,
    about: str,
    facts: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    codes: np.ndarray,
) -> str:
    """Render the page.

    Parameters
    ----------
    title, subtitle, about : str
        Texts, of any characters.
    facts : mapping
        What JSON can hold; `readPage` in ``data.js`` reads it.
    arrays : mapping of str to array
        Numbers, kept as float32, by names that are no facts.
    codes : (n, k) uint8
        Pixels of each candidate.

    Returns
    -------
    str
        HTML. The same input gives the same text.
    """
    script = "\n".join(_read(name) for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    style = _read("page.css")
    # Records of whole triples of bytes, so that each can be decoded alone.
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 3)))
    frame = {**facts["frame"], "record": padded.shape[1] // 3 * 4}
    content = {**facts, "frame": frame, "arrays": list(arrays)}
    texts = "\n".join(
        f'<script type="text/plain" id="{name}">{_encode(np.asarray(values, "<f4"))}</script>'
        for name, values in arrays.items()
    )
    parts = {
        "title": html.escape(title),
        "subtitle": html.escape(subtitle),
        "about": html.escape(about),
        "style": style,
        "style_hash": hash_for_policy(style),
        "script": script,
        "script_hash": hash_for_policy(script),
        "facts": json_for_html(content),
        "arrays": texts,
        "codes": _encode(padded),
    }
    return _MARK.sub(lambda match: parts[match[1]], _read("page.html"))


def safe_stem(name: str) -> str:
    """Return a part of a file name that every system takes, for files that the page saves."""
    return _UNSAFE.sub("-", Path(name).stem)[:60].strip("-.") or "volume"


def _encode(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
