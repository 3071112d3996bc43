"""Citations of a card with the DOI that hubs want for each."""

import re

from ...runtime.artifact import Card

# Start of a citation -> DOI, for texts in cards that give none.
DOIS = {
    "Oktay et al. (2018)": "10.48550/arXiv.1804.03999",
    "Schlemper et al. (2019)": "10.1016/j.media.2019.01.012",
    "Tan and Le (2021)": "10.48550/arXiv.2104.00298",
    "Nauta et al. (2023)": "10.1109/CVPR52729.2023.00269",
}


def cited(text: str) -> dict[str, str] | None:
    """A citation with its DOI, None where it is not known."""
    for start, doi in DOIS.items():
        if text.startswith(start):
            return {"text": text, "doi": doi}
    if found := re.search(r"doi:(10\.\S+[^\s.,;:])", text):
        return {"text": text, "doi": found[1]}
    if found := re.search(r"arXiv:(\d{4}\.\d{4,5})", text):
        return {"text": text, "doi": f"10.48550/arXiv.{found[1]}"}
    return None


def data_source(card: Card) -> tuple[str, str] | None:
    """Text and DOI of the citation that calls itself training data."""
    for text in card.citations:
        if "training data" in text and (found := cited(text)):
            return text, found["doi"]
    return None
