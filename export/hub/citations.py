"""Citations of a card, with the DOIs that hubs require."""

import re

from ...runtime.artifact import Card

# Start of a citation -> DOI, for citations in cards that do not state one.
DOIS = {
    "Oktay et al. (2018)": "10.48550/arXiv.1804.03999",
    "Schlemper et al. (2019)": "10.1016/j.media.2019.01.012",
    "Tan and Le (2021)": "10.48550/arXiv.2104.00298",
    "Lindeberg (1998)": "10.1023/A:1008045108935",
    "Frangi et al. (1998)": "10.1007/BFb0056195",
    "Nauta et al. (2023)": "10.1109/CVPR52729.2023.00269",
}


def citation_with_doi(text: str) -> dict[str, str] | None:
    """Return a citation's ``text`` and ``doi``, or None if the DOI is unknown."""
    for start, doi in DOIS.items():
        if text.startswith(start):
            return {"text": text, "doi": doi}
    if match := re.search(r"doi:(10\.\S+[^\s.,;:])", text):
        return {"text": text, "doi": match[1]}
    if match := re.search(r"arXiv:(\d{4}\.\d{4,5})", text):
        return {"text": text, "doi": f"10.48550/arXiv.{match[1]}"}
    return None


def data_source(card: Card) -> tuple[str, str] | None:
    """Return text and DOI of the citation that calls itself training data, if there is one."""
    for text in card.citations:
        if "training data" in text and (citation := citation_with_doi(text)):
            return text, citation["doi"]
    return None
