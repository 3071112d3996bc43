"""Regenerate all pictures, tables and numbers of README, docs and cards from the stored results.

    python docs/scripts/refresh.py [--root FOLDER]

FOLDER holds the blocks of benchmarks/cfos.yaml. Without it, the pictures of real candidates stay as
they are, because they cannot be drawn from figures alone.
"""

import json
from pathlib import Path

import click
import drawings
import picture
import stored
from stored_results import load_benchmark, read_results

from cfzoo.analysis.report import render_markdown
from cfzoo.export.model_card import render_card
from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.runtime.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path))
def main(root):
    """Regenerate everything."""
    compare, explain, finetune = map(load_benchmark, ("compare", "explain", "finetune"))
    if root:
        compare.main(["--root", str(root)], standalone_mode=False)
        for name in explain.MODELS:
            (explain.PICTURES / f"{name}.png").write_bytes(explain.draw(name, root))
    else:
        report = compare.make_report()
        texts = {
            "report.md": render_markdown(report),
            "report.json": json.dumps(report, indent=1) + "\n",
        }
        for name, text in texts.items():
            with atomic_write(compare.PAGES / name) as file:
                file.write(text)
    reading = ["merge", *(["--root", str(root)] if root else [])]
    load_benchmark("second_reading").main(reading, standalone_mode=False)
    load_benchmark("performance_page").write(read_results("speed"))
    finetune.draw(read_results("finetune"), ROOT / "benchmarks" / "results" / "finetune.png")
    for name, path in bundled().items():
        (ROOT / "model_cards" / f"{name}.md").write_text(
            render_card(read_artifact(path)), encoding="utf-8"
        )
    drawings.main()
    picture.main()
    stored.write_pages()


if __name__ == "__main__":
    main()
