"""Weigh the packages of this environment, and fail if they weigh too much.

    python .ci/weigh.py [--most 200]

It counts the files that pip lists, compiled modules included, in millions of bytes. pip and
setuptools are not counted: the environment had them before, 11 MB with one Python and 22 MB with
another.
"""

import argparse
import sys
from importlib.metadata import Distribution, distributions

INSTALLERS = ("pip", "setuptools", "wheel")


def weigh(package: Distribution) -> int:
    """Return the bytes of a package's files."""
    paths = [file.locate() for file in package.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file())


def main() -> None:
    """Print each package and the sum, in MB."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--most", type=float, help="MB")
    choice = parser.parse_args()
    rows = {each.name: weigh(each) / 1e6 for each in distributions()}
    for name, size in sorted(rows.items(), key=lambda row: -row[1]):
        print(f"{size:8.1f}  {name}{'  (not counted)' if name.lower() in INSTALLERS else ''}")
    total = sum(size for name, size in rows.items() if name.lower() not in INSTALLERS)
    print(f"{total:8.1f} MB")
    if choice.most is not None and total > choice.most:
        sys.exit(f"The packages weigh {total:.1f} MB; expected at most {choice.most:g}.")


if __name__ == "__main__":
    main()
