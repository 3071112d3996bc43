"""Results: the outcome of each point, and the files that hold them."""

from .csv_file import write_csv
from .flag import CLASSIFIED, UNCLASSIFIED, Flag
from .outcomes import Outcomes
from .results import Results
from .xml_file import write_xml
from .yaml_file import write_yaml

__all__ = [
    "CLASSIFIED",
    "UNCLASSIFIED",
    "Flag",
    "Outcomes",
    "Results",
    "write_csv",
    "write_xml",
    "write_yaml",
]
