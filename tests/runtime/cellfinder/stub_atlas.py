"""A small atlas that brainmapper takes for one of BrainGlobe's, in the format of its API 3.

Its template is the background of a brain, so that the registration succeeds in seconds, and its
two regions are the halves of that volume.
"""

import csv
import json
from pathlib import Path

import ngff_zarr
import numpy as np

NAME, VERSION = "stub_mouse_10um", "0_1"
COLUMNS = (
    "identifier",
    "abbreviation",
    "name",
    "parent_identifier",
    "root_identifier_path",
    "color_hex_triplet",
)
REGIONS = (
    (997, "root", "", [997], "#ffffff"),
    (1, "front", 997, [997, 1], "#cc3333"),
    (2, "back", 997, [997, 2], "#3333cc"),
)


def write_atlas(folder: Path, template: np.ndarray, resolution: float) -> Path:
    """Write the atlas and BrainGlobe's configuration that names it.

    Parameters
    ----------
    folder : Path
        Where to write both.
    template : (z, y, x) uint16
        In the orientation asr.
    resolution : float, um

    Returns
    -------
    Path
        The folder for the environment variable BRAINGLOBE_CONFIG_DIR.
    """
    root = folder / "atlases" / "brainglobe-atlasapi"
    places = {
        kind: f"/{kind}/stub/{VERSION}"
        for kind in ("terminologies", "coordinate-spaces", "annotation-sets", "templates")
    }
    annotation = np.full(template.shape, 1, np.uint32)
    annotation[:, template.shape[1] // 2 :] = 2
    for kind, name, data in (
        ("templates", "template.ome.zarr", template),
        ("annotation-sets", "annotations_compressed.ome.zarr", annotation),
    ):
        scale = dict.fromkeys("zyx", resolution / 1000)  # in mm
        image = ngff_zarr.to_ngff_image(data, dims=list("zyx"), scale=scale)
        path = root / places[kind][1:] / name
        path.parent.mkdir(parents=True)
        multiscales = ngff_zarr.to_multiscales(image, scale_factors=[])
        ngff_zarr.to_ngff_zarr(str(path), multiscales, version="0.5")
    path = root / places["terminologies"][1:] / "terminology.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, name, parent, way, color in REGIONS:
            writer.writerow((number, name, name, parent, way, color))
    template_entry = {"name": "stub", "version": "0.1", "location": places["templates"]}
    manifest = {
        "name": "stub_mouse",
        "version": "0.1",
        "species": "Mus musculus",
        "citation": "none",
        "atlas_link": "none",
        "symmetric": True,
        "orientation": "asr",
        "resolution": [resolution] * 3,
        "shape": list(template.shape),
        "additional_references": [],
        "terminology": {"name": "stub", "location": places["terminologies"]},
        "coordinate_space": {"name": "stub", "location": places["coordinate-spaces"]},
        "annotation_set": {
            "name": "stub",
            "location": places["annotation-sets"],
            "template": template_entry,
        },
        "template": template_entry,
    }
    path = root / "atlases" / NAME / VERSION / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))
    config = folder / "config"
    config.mkdir()
    (config / "bg_config.conf").write_text(
        f"[default_dirs]\nbrainglobe_dir = {folder / 'atlases'}\n"
        f"interm_download_dir = {folder / 'atlases'}\n"
    )
    return config
