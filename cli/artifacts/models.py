"""``cfzoo models``: list the models that a name means, and the versions of one."""

import dataclasses
import json

import click

from ...runtime.artifact import Pin, find_model, list_versions, release_table
from ...workflows.model_list import ListedModel, ModelList, list_models
from ..terminal import echo, escape

HEADINGS = ("model", "trained on", "channels", "AUC on data not trained on", "MB", "date", "")


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name, as_json):
    """List the models that come with cfzoo and those in the cache, or the versions of NAME.

    Each can be given as NAME, for the bundled version, or as NAME@VERSION wherever a verb takes a
    model.
    """
    if name:
        _print_versions(name, as_json)
        return
    models = list_models()
    if as_json:
        echo(json.dumps(dataclasses.asdict(models), indent=1))
    else:
        echo("\n".join(_lines(models)))


def _lines(models: ModelList) -> list[str]:
    rows = [HEADINGS, *(_row(model) for model in models.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += [f"damaged, and downloaded again when asked for: {escape(p)}" for p in models.damaged]
    return lines


def _row(model: ListedModel) -> tuple[str, ...]:
    notes = [
        "default" if model.default else "",
        "" if model.place == "bundled" else model.place,
        f"deprecated: {model.deprecated}" if model.deprecated else "",
    ]
    return (
        f"{model.name}@{model.version}",
        ", ".join(f"{kind} ({number})" for kind, number in model.data_sets.items()) or "not stated",
        "+".join(model.channels),
        ", ".join(f"{auc:.3f} {kind}" for kind, auc in model.auc.items()) or "not stated",
        f"{model.size / 1e6:.1f}",
        model.date,
        ", ".join(filter(None, notes)),
    )


def _print_versions(name: str, as_json: bool) -> None:
    """Print the releases of a model and where its versions are."""
    pin = Pin.parse(name)
    current = release_table().current_name(pin.name) if pin else name
    places = list_versions(current)
    table = {release.version: release for release in release_table().of(current)}
    if not places and not table:
        find_model(name)  # raises, and lists the bundled names
    rows = []
    for version in {**table, **places}:
        release = table.get(version)
        fields = dataclasses.asdict(release) if release else {"name": current, "version": version}
        rows.append({**fields, "place": places.get(version, "not available")})
    if as_json:
        echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        notes = [row["place"], row.get("date", ""), row.get("changes", "")]
        if row.get("deprecated"):
            notes.append(f"Deprecated: {row['deprecated']}")
        echo(f"{current}@{row['version']}  {'  '.join(filter(None, notes))}")
