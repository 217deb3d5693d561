"""Plain Verilog: hardware alone, which no tool takes for an order to run, read or write anything.

Verilog can call the shell (``$system``), C code (``$c``, DPI) and files (``$fopen``, ``include``),
and comments and attributes can change what tools make of it. What is allowed here is listed, and
all else is refused: the words of synthesisable Verilog-2005 and what this tool emits besides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sim.files import reading

_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    accept_on alias always_comb always_ff always_latch assert assume automatic before bind bins
    binsof bit break bufif0 bufif1 byte cell chandle checker class clocking cmos config const
    constraint context continue cover covergroup coverpoint cross deassign defparam design disable
    dist do edge endchecker endclass endclocking endconfig endgroup endinterface endpackage
    endprimitive endprogram endproperty endspecify endsequence endtable endtask enum event
    eventually expect export extends extern final first_match force foreach forever fork forkjoin
    global highz0 highz1 iff ifnone ignore_bins illegal_bins implements implies import incdir
    include inside instance int interconnect interface intersect join join_any join_none large let
    liblist library local logic longint macromodule matches medium modport nettype new nexttime
    nmos noshowcancelled notif0 notif1 null package packed pmos primitive priority program
    property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure
    rand randc randcase randsequence rcmos real realtime ref reject_on release repeat restrict
    return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until
    s_until_with scalared sequence shortint shortreal showcancelled small soft solve specify
    specparam static string strong strong0 strong1 struct super supply0 supply1
    sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit
    tran tranif0 tranif1 tri0 tri1 triand trior trireg type typedef union unique unique0 until
    until_with untyped use uwire var vectored virtual void wait wait_order wand weak weak0 weak1
    while wildcard with within wor
    """,
    )
)
"""Reserved words of SystemVerilog (IEEE 1800-2017), as which tools read ``.v`` files, other than
those of synthesisable Verilog."""
_FUNCTIONS = frozenset({"$signed", "$unsigned", "$clog2", "$bits"})
_ATTRIBUTES = (
    "async_reg", "full_case", "init", "keep", "keep_hierarchy", "no_rw_check", "parallel_case",
    "ram_style", "rom_style", "shreg_extract", "use_dsp",
)  # fmt: skip
"""Attributes that may stand in plain Verilog, with a number or a word as value."""
_LINT = re.compile(r"verilator lint_(?:save|restore|(?:off|on) [A-Z0-9_]+)")
_PRAGMA = re.compile(
    r"[\W_]*(?:verilator|verilint|synopsys|synthesis|pragma|cadence|ambit|xilinx|altera|exemplar)"
    r"(?![A-Za-z])"
    r"|.*(?:translate|synthesis)_o(?:n|ff)",
    re.IGNORECASE | re.DOTALL,
)
"""Comments that a tool may obey."""
_DIRECTIVE = (
    r"`(?:timescale[ \t]+10{0,2}[ \t]*[munpf]?s[ \t]*/[ \t]*10{0,2}[ \t]*[munpf]?s"
    r"|default_nettype[ \t]+(?:none|wire)|resetall)\b"
)
_TEXT = r"[^\x00-\x08\x0a-\x1f\x7f]"
_VALUE = r"(?:\d*'[sS]?[bodhBODH][0-9a-fA-F]+|\d+|\"[A-Za-z0-9_]*\")"
_ATTRIBUTE = rf"(?:{'|'.join(_ATTRIBUTES)})(?:\s*=\s*{_VALUE})?"
_TOKEN = re.compile(
    "|".join(
        f"(?P<{name}>{pattern})"
        for name, pattern in {
            "space": r"[ \t\n]+",
            "word": r"[A-Za-z_][A-Za-z0-9_$]*",
            "comment": rf"//{_TEXT}*|/\*(?:(?!\*/)(?:{_TEXT}|\n))*\*/",
            "attribute": rf"\(\*\s*{_ATTRIBUTE}(?:\s*,\s*{_ATTRIBUTE})*\s*\*\)",
            "open": r"\(\*(?!\s*\))",
            "escaped": r"\\[A-Za-z0-9_$.:\[\]]+(?=[ \t\n])",
            "call": r"\$[A-Za-z0-9_$]+",
            "string": r'"[A-Za-z0-9_ .,:-]*"(?!")',
            "directive": _DIRECTIVE,
            "number": r"'\s*[sS]?[bodhBODH]\s*[0-9a-fA-FxXzZ?_]+|[0-9][0-9_]*(?![.eE])",
            "scope": r"::",
            "sign": r"[-+*/%&|^~!<>=?:;,.()\[\]{}@#]",
        }.items()
    ),
    re.DOTALL,
)
_REFUSED = {"open": "attribute", "scope": "operator", "call": "system task or function"}
"""Kinds of tokens that are never plain -> their names in messages."""


@dataclass(frozen=True)
class Finding:
    """The first construct of a text that is not plain. Made by ``finding``."""

    line: int
    """Its line, from 1 on."""
    construct: str
    """What it is, for a message."""


def finding(text: str) -> Finding | None:
    """Return the first construct of Verilog that is not plain, or None if all is plain.

    Whether the text is correct Verilog is not checked.

    >>> finding("module a; endmodule"), finding("// b\\ninitial $system(1);")
    (None, Finding(line=2, construct="system task or function '$system'"))
    """
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        construct = _unknown(text, at) if token is None else _refused(token)
        if construct:
            return Finding(text.count("\n", 0, at) + 1, construct)
        at = token.end() if token else at
    return None


def _refused(token: re.Match[str]) -> str | None:
    """Return what a token that is not plain is, for a message; None if it is plain."""
    kind, text = token.lastgroup or "", token[0]
    if kind == "word" and text in _WORDS:
        return f"word {reading.quoted(text)}"
    if kind == "comment":
        body = (text[2:] if text.startswith("//") else text[2:-2]).strip()
        if _PRAGMA.match(body) and not _LINT.fullmatch(body):
            return f"comment {reading.quoted(text)}, which tools obey"
    if kind in _REFUSED and text not in _FUNCTIONS:
        shown = token.string[token.start() : token.start() + 30] if kind == "open" else text
        return f"{_REFUSED[kind]} {reading.quoted(shown)}"
    return None


def _unknown(text: str, at: int) -> str:
    """Return what stands where no token of plain Verilog begins, for a message."""
    if text[at] == "`":
        return f"directive {reading.quoted(re.split(r'[^A-Za-z0-9_`]', text[at : at + 40])[0])}"
    if text[at] in '"\\':
        return f"text or name {reading.quoted(text[at : at + 30])}"
    if text.startswith("/*", at):
        return "comment without end, or with control characters,"
    return f"character {reading.quoted(text[at])}"


def refusal(files: Mapping[str, str]) -> str | None:
    """Return why Verilog (text by file name) is refused, as a sentence; None if all is plain."""
    for name, text in files.items():
        if found := finding(text):
            return (
                f"rtl/{reading.printable(name)}: line {found.line}: {found.construct} is not plain "
                "Verilog and might run commands or read and write files; --trust lets it"
            )
    return None
