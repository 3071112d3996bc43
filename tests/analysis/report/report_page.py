"""A page of a report, parsed."""

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Tags in order, ids, and rows of cells by section of a page; tags must be closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open_tags, self.tags, self.section, self.rows = [], [], "", {}
        self.feed(text)
        assert not self.open_tags

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self.section = dict(attrs)["id"]
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("th", "td"):
            self.rows[self.section][-1].append("")
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if {"th", "td"} & set(self.open_tags):
            self.rows[self.section][-1][-1] += data.strip() + " "

    def table_rows(self, section: str) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.rows[section]]

    def attributes(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def embedded_counts(text: str):
    return json.loads(re.search(r'id="counts">(.*?)</script>', text, re.S)[1])
