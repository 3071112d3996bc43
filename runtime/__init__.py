"""Serve classifiers from ONNX artifacts with numpy and onnxruntime alone.

Data flow forward: volume + points -> cubes -> session -> probabilities -> typed points.

>>> from cfzoo.runtime import classify, read_points
>>> results = classify(read_points("points.xml"), "signal.tif", voxel_size=(5, 2, 2))
>>> results.probability  # (N,) float32, in the order of the points
"""

from .artifact import (
    Artifact,
    Card,
    Ensemble,
    Member,
    bundled,
    read_artifact,
    read_ensemble,
    read_model,
)
from .classifier import Classifier
from .errors import ArtifactError, CfzooError, EnvironmentProblem, InputError
from .feature_statistics import FeatureStatistics
from .job import Job, prepare
from .options import Options
from .pipeline import classify, run
from .points import Points, read_points
from .results import Flag, Results, write_csv, write_xml, write_yaml
from .session import Session
from .shift import Shift
from .volume import Volume, open_volume

__all__ = [
    "Artifact",
    "ArtifactError",
    "Card",
    "CfzooError",
    "Classifier",
    "Ensemble",
    "EnvironmentProblem",
    "FeatureStatistics",
    "Flag",
    "InputError",
    "Job",
    "Member",
    "Options",
    "Points",
    "Results",
    "Session",
    "Shift",
    "Volume",
    "bundled",
    "classify",
    "open_volume",
    "prepare",
    "read_artifact",
    "read_ensemble",
    "read_model",
    "read_points",
    "run",
    "write_csv",
    "write_xml",
    "write_yaml",
]
