"""The page of an artifact on a hub: its card, how to validate it, and how to use it."""

from ...runtime.artifact import Artifact
from ..model_card import render_card, triple

_VALIDATION = """\
# Validation

{measured}

Before you trust it, check it on labels of your own: some hundred candidates of a brain that it was
not trained on, typed 2 (cell) or 1 (no cell), as a data file for

```bash
cfzoo compare {file} --data DATA.yaml -o report
```

which reports AUC, average precision, calibration and robustness beside a trivial contrast score,
with intervals over brains; `cfzoo calibrate {file} --data DATA.yaml` then fits probabilities and
threshold to the labels.

# Limits

- It answers for candidates that a detector has found: what was not found stays lost.
- It sees {cube} voxels of {size} um (z y x) around the candidate, {channels}, and nothing else.
- Other staining, cells, microscopes and laboratories than those named above were not measured.
- It is for research, not for diagnosis.

# Use

{use}
"""


def render_page(artifact: Artifact, file: str, use: str) -> str:
    """Render the page as Markdown; the same artifact gives the same text.

    Parameters
    ----------
    file : str
        Name of the artifact's file beside the page.
    use : str
        Markdown that says how to run it from there.
    """
    card = artifact.card
    split = card.metrics.get("split")
    if split:
        measured = f"The figures above were measured so: {split}."
    elif card.metrics:
        measured = "The figures above say what was measured."
    else:
        measured = "Nothing was measured yet: expect anything."
    end = _VALIDATION.format(
        measured=measured,
        file=file,
        cube=triple(card.cube_shape),
        size=triple(card.voxel_size),
        channels=" and ".join(card.channels),
        use=use,
    )
    return render_card(artifact, end)
