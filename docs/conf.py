"""Sphinx settings of the documentation site; `sphinx-build -W docs site` builds it."""

import html
import shutil
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

import cfzoo

HERE = Path(__file__).parent

project = "cfzoo"
author = "The cfzoo developers"
copyright = author
version = release = cfzoo.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",  # gives single backticks in docstrings their role
    "numpydoc",
    "sphinx_click",
    "sphinx_design",
    "ablog",
]
exclude_patterns = ["_build"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

default_role = "autolink"
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give types, with shapes and units
autodoc_default_options = {"members": True}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!cfzoo\.).*"),  # other projects cannot be looked up without a network
    # Internals that docstrings mention, but that have no entry in the reference.
    (r"py:obj", r"cfzoo\.(?:zoo|export|analysis|workflows|runtime\.(?:errors|files|artifact))\b.*"),
]

blog_path = "blog"
blog_title = "cfzoo"
post_date_format = "%d %B %Y"
fontawesome_included = True

html_theme = "pydata_sphinx_theme"
html_title = "cfzoo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "findings": [], "blog/**": []}
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_math_renderer = "mathml"


def _name_version(app, config):
    """Let readers choose a version where the site has an address; else name that of the pages.

    `.ci/versions.py` writes the list. Without an address the pages ask nothing of a network.
    """
    options = config.html_theme_options
    if not config.cfzoo_site:
        options["logo"] = {"text": f"cfzoo {release}"}
        return
    site = config.cfzoo_site.rstrip("/")
    config.html_baseurl = f"{site}/{release}/"
    options["switcher"] = {"json_url": f"{site}/switcher.json", "version_match": release}
    options["check_switcher"] = False  # the list does not exist yet
    options["show_version_warning_banner"] = True
    options["navbar_end"] = ["version-switcher", "theme-switcher", "navbar-icon-links"]


def _mathml(self, node):
    """Render formulas as MathML, which browsers draw without scripts, fonts or network."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    self.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def _copy_comparison(app, error):
    """Copy the comparison report, which is a separate page with its own style and script."""
    if error is None and app.builder.format == "html":
        shutil.copy(HERE / "comparison" / "index.html", Path(app.outdir) / "comparison")


def _write_try_page(app, error):
    """Write the page on which readers try the bundled models; without its parts, say how to."""
    if error is not None or app.builder.format != "html":
        return
    from cfzoo.runtime.artifact import DEFAULT_MODELS, bundled
    from cfzoo.runtime.errors import EnvironmentProblem
    from cfzoo.workflows.try_page import write_try_page

    target = Path(app.outdir) / "try.html"
    models = sorted(bundled(), key=lambda name: name != DEFAULT_MODELS[1])
    try:
        write_try_page(target, models)
    except EnvironmentProblem as problem:
        text = f"<!doctype html><title>Try cfzoo</title><p>{html.escape(str(problem))}</p>\n"
        target.write_text(text, encoding="utf-8")


def _no_feed(app, page, template, context, doctree):
    """Remove links to a feed: ablog writes none, because the site has no address."""
    context["feed_path"] = context["archive_feed"] = None


def setup(app):
    app.add_config_value("cfzoo_site", "", "html", str)  # address of all versions
    app.connect("config-inited", _name_version)
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))
    app.connect("build-finished", _copy_comparison)
    app.connect("build-finished", _write_try_page)
    app.connect("html-page-context", _no_feed, priority=900)
