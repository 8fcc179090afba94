"""Sphinx's configuration of the site. `site/build.py` lays the sources out and runs Sphinx."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "rl_drug_dosage"
author = "rl_drug_dosage contributors"
copyright = "rl_drug_dosage contributors, MIT licence. For research and education only; nothing here is meant to treat a patient"  # noqa: A001, E501
version = release = metadata.version("rl-drug-dosage")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "docstrings",
]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]
nitpicky = False

myst_heading_anchors = 4
# Lists of definitions, for pages that the build writes. The repository's texts are read on their own as well, and hold
# nothing that only Sphinx understands.
myst_enable_extensions = ["deflist"]
myst_all_links_external = False

# Two hyphens begin an option, and quotation marks stand in commands.
smartquotes = False
# In docstrings single backquotes name things of the package; they are code.
default_role = "code"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
toc_object_entries = False
python_maximum_signature_line_length = 88

copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = "rl_drug_dosage"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
# Stems words, so that "troughs" is found by "trough".
html_search_language = "en"
