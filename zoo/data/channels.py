"""Which data sets have the channels that a model takes."""

from collections.abc import Sequence
from typing import Protocol

from ...runtime.artifact import Card
from ...runtime.errors import InputError


class HasChannels(Protocol):
    """A data set with a number of channels, such as `LabelledVolume` or `CubeFolders`."""

    @property
    def name(self) -> str: ...

    @property
    def channels(self) -> int: ...


def check_channels(sources: Sequence[HasChannels], card: Card) -> None:
    """Check that all data sets have the channels of a card.

    Raises
    ------
    InputError
        Some have no background although the model takes one; the message names them all.
    """
    names = [source.name for source in sources if source.channels < len(card.channels)]
    if names:
        verb = "has" if len(names) == 1 else "have"
        raise InputError(
            f"{', '.join(names)} {verb} no background channel, which {card.name} needs. Add it "
            "(background in an entry of a volume, bg_channel in one of cubes), or leave the data "
            "set out, or use the signal alone: train with --channels 1, or another model."
        )


def describe_unused_backgrounds(sources: Sequence[HasChannels], card: Card) -> str:
    """Return a note on the data sets whose background a model does not use; "" if there are none.

    Parameters
    ----------
    sources : sequence
        Data sets with ``name`` and ``channels``.
    card : Card
        Of a model to train.
    """
    names = [source.name for source in sources if source.channels > len(card.channels)]
    if not names:
        return ""
    verb = "has a background" if len(names) == 1 else "have backgrounds"
    return (
        f"{', '.join(names)} {verb}, which {card.name} does not use, only the signal: "
        "--channels 2 trains on both."
    )
