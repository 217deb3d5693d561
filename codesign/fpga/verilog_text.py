"""Facts that the text of Verilog files shows: code without comments, whether other files are read.

Cache keys and hashes of Verilog rest on them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"""//[^\n]*|/\*.*?(?:\*/|\Z)|("(?:\\.|[^"\\\n])*"|\\\S+)""", re.DOTALL)
"""A comment, or (group 1) a string or an escaped name, in which no comment begins."""
_ELSEWHERE = re.compile(r"`\s*include|\$readmem|\$fopen")


def code(verilog: str) -> str:
    """Return Verilog without its comments."""
    return _TOKEN.sub(lambda token: token[1] or "", verilog)


def self_contained(verilog: Mapping[str, str]) -> bool:
    """Return True unless Verilog (file name -> text) reads other files, which keys do not cover."""
    return not any(map(_ELSEWHERE.search, verilog.values()))
