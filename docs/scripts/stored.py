"""Numbers and tables of README and docs: check them against the stored results, or write them.

    python docs/scripts/stored.py            # list numbers that differ or have no source
    python docs/scripts/stored.py --write    # write the stored numbers and tables into the pages

A measured number is followed by its source in a comment, which no reader sees:
``0.894<!-- report/attention3d/auc -->``. `stored_results` explains the paths. The number is written
with as many digits as the page shows, and as a percentage before " %". A number that was chosen
rather than measured, and that could be mistaken for a result, is followed by ``<!-- set -->``.
Tables stand between ``<!-- table NAME -->`` and ``<!-- end -->``; `stored_tables` makes them.

The numbers are in the pages themselves, and not MyST substitutions such as ``{{ auc }}``, because
people also read the pages on GitHub, which shows comments to nobody but would show the braces; and
because a page with its numbers in place can be read, searched and reviewed as it is. The price is
`FIGURE`, which has to recognise numbers that lack a source.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stored_results import DOCS, read_value
from stored_tables import make_table

ROOT = DOCS.parent
GENERATED = {DOCS / "comparison" / "report.md", DOCS / "performance.md"}  # see test_figures.py

SOURCED = re.compile(
    r"(?P<number>[+−-]?\d[\d,]*(?:\.\d+)?)(?P<unit>\**(?: %)?)<!-- (?!set )(?P<source>[^>]+?) -->"
)
CHOSEN = re.compile(r"\d[\d,.]*(?: [A-Z]{2}| %| s)?<!-- set -->")
TABLE = re.compile(r"<!-- table (\w+) -->\n(?:(?!<!-- table ).)*?<!-- end -->", re.DOTALL)
# Parts of a page that show no results: code, directives, formulas, addresses, comments, tags.
NO_PROSE = re.compile(
    r"```.*?```|:::\{.*?:::|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)|<!--.*?-->|^---\n.*?^---$|<[^>]*>",
    re.DOTALL | re.MULTILINE,
)
# Numbers of certain forms that say what something is.
NAMES_AND_SIZES = re.compile(
    "|".join(
        (
            r"[\d.]+(?:\s+x\s+[\d.]+)+(?: um)?|[\d.]+ (?:to [\d.]+ )?um\b",  # cubes and voxels
            r"(?:arXiv|doi):\S+|(?<![.,\d])(?:19|20)\d\d\b(?! [a-z])|\b\d+\(\d+\)",  # references
            r"\bcfos-\d+|(?<![.,\d])(?:695|753|969|1008)\b",  # blocks
            r"(?:Python|ONNX|cellfinder|format) \d+(?:\.\d+)+|BSD-3\S*",  # versions
        )
    )
)
# A figure of accuracy, speed, memory or count, as opposed to a small number in a sentence.
FIGURE = re.compile(
    r"(?<![\w.,/-])[+−-]?"
    r"(?:\d[\d,]*\.\d+|\d{1,3}(?:,\d{3})+|\d{3,}|\d+(?= (?:[kMG]B|ms|s|h)\b)|\d+(?= %))"
    r"(?![\w/]|[.,]\d)"
)


def list_pages() -> list[Path]:
    """Return README and every page of the site that is not generated as a whole."""
    return [ROOT / "README.md", *sorted(set(DOCS.rglob("*.md")) - GENERATED)]


def format_value(text: str, unit: str, source: str) -> str:
    """Return the stored number, formatted like the text that the page shows."""
    digits = len(text.partition(".")[2])
    number = read_value(source) * (100 if "%" in unit else 1)
    sign, comma = "+" if text[0] in "+−" else "", "," if number >= 1000 else ""
    return f"{number:{sign}{comma}.{digits}f}".replace("-", "−")


def renew(text: str) -> str:
    """Return the text of a page with the stored numbers and tables."""

    def renew_number(match: re.Match) -> str:
        number, unit, source = match["number"], match["unit"], match["source"]
        return f"{format_value(number, unit, source)}{unit}<!-- {source} -->"

    text = SOURCED.sub(renew_number, text)
    return TABLE.sub(lambda m: f"<!-- table {m[1]} -->\n\n{make_table(m[1])}\n<!-- end -->", text)


def find_unsourced(text: str) -> Iterator[str]:
    """Yield the figures of a page that have no source, with the words around them."""
    for pattern in (TABLE, SOURCED, CHOSEN, NO_PROSE, NAMES_AND_SIZES):
        text = pattern.sub(" ", text)
    for match in FIGURE.finditer(text):
        yield " ".join(text[max(0, match.start() - 40) : match.end() + 20].split())


def find_errors() -> Iterator[str]:
    """Yield what differs from the stored results, and what has no source."""
    for page in list_pages():
        text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT)
        for old, new in zip(text.splitlines(), renew(text).splitlines(), strict=False):
            if old != new:
                yield f"{name} says:\n    {old}\nthe stored results say:\n    {new}"
        for figure in find_unsourced(text):
            yield f"{name}: no source: ... {figure}"


def write_pages() -> None:
    """Write the stored numbers and tables into the pages."""
    for page in list_pages():
        page.write_text(renew(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv:
        write_pages()
    errors = list(find_errors())
    print("\n".join(errors))
    sys.exit(bool(errors))
