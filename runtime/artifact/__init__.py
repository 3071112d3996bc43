"""Artifacts and ensembles: verified ONNX files with a card, and where they are found."""

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
from .card import CHANNELS, NORMALISATIONS, SCHEMA, Card, is_name, is_version
from .download import cache_folder, show_progress
from .ensemble import Ensemble, Member, licences, margin_of, tempered
from .ensemble_file import ensemble_json, read_ensemble
from .locate import BUNDLED, bundled, find_model, read_artifact
from .model import DEFAULT_MODELS, Model, choose_model, read_model, read_weighted
from .onnx_guard import IR_VERSION, OPSET

__all__ = [
    "BUNDLED",
    "CARD_KEY",
    "CHANNELS",
    "DEFAULT_MODELS",
    "INPUT",
    "IR_VERSION",
    "MAPS",
    "NORMALISATIONS",
    "OPSET",
    "OUTPUT",
    "SCHEMA",
    "TEST_KEY",
    "TEST_TOLERANCE",
    "Artifact",
    "Card",
    "Ensemble",
    "Member",
    "Model",
    "bundled",
    "cache_folder",
    "choose_model",
    "encode_test",
    "ensemble_json",
    "find_model",
    "is_name",
    "is_remote",
    "is_version",
    "licences",
    "margin_of",
    "read_artifact",
    "read_ensemble",
    "read_model",
    "read_weighted",
    "seal",
    "show_progress",
    "tempered",
    "verify",
]
