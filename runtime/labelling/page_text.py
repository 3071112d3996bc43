"""What every page that cfzoo writes needs to be safe, whatever a file name or a label holds.

A content security policy allows a page's own script and style, by their hashes, and nothing else.
"""

import base64
import hashlib
import json
from typing import Any


def json_for_html(content: Any) -> str:
    """Return JSON that cannot end its script element or begin another."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def hash_for_policy(text: str) -> str:
    """Return the hash by which a content security policy allows a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
