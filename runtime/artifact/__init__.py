"""Artifacts and ensembles: verified ONNX files with a card, and how to find them."""

from .address import is_remote
from .artifact import (
    CARD_KEY,
    INPUT,
    MAPS,
    OUTPUT,
    TEST_KEY,
    TEST_TOLERANCE,
    Artifact,
    encode_test,
    seal,
    verify,
)
from .card import (
    CHANNELS,
    NORMALISATIONS,
    SCHEMA,
    STANDARDISATIONS,
    Card,
    is_name,
    is_version,
    read_json,
)
from .download import cache_folder, show_progress
from .ensemble import Ensemble, Member, apply_temperature, combine_licences, margin_of
from .ensemble_file import ensemble_json, read_ensemble
from .head import (
    FEATURES,
    HEAD_NAMES,
    MAX_FEATURES,
    PLACES,
    Head,
    read_head,
    replace_head,
)
from .locate import BUNDLED, bundled, find_model, latest_versions, read_artifact
from .model import (
    DEFAULT_MODELS,
    Model,
    choose_model,
    describe_unused_background,
    read_model,
    read_weighted,
)
from .onnx_guard import IR_VERSION, OPSET

__all__ = [
    "BUNDLED",
    "CARD_KEY",
    "CHANNELS",
    "DEFAULT_MODELS",
    "FEATURES",
    "HEAD_NAMES",
    "INPUT",
    "IR_VERSION",
    "MAPS",
    "MAX_FEATURES",
    "NORMALISATIONS",
    "OPSET",
    "OUTPUT",
    "PLACES",
    "SCHEMA",
    "STANDARDISATIONS",
    "TEST_KEY",
    "TEST_TOLERANCE",
    "Artifact",
    "Card",
    "Ensemble",
    "Head",
    "Member",
    "Model",
    "apply_temperature",
    "bundled",
    "cache_folder",
    "choose_model",
    "combine_licences",
    "describe_unused_background",
    "encode_test",
    "ensemble_json",
    "find_model",
    "is_name",
    "is_remote",
    "is_version",
    "latest_versions",
    "margin_of",
    "read_artifact",
    "read_ensemble",
    "read_head",
    "read_json",
    "read_model",
    "read_weighted",
    "replace_head",
    "seal",
    "show_progress",
    "verify",
]
