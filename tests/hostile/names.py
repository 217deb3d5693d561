"""Hostile names: each would run a command, leave its folder or break a script if taken as it is."""

from __future__ import annotations

MARKER = "marker"
"""File that a name makes, in the current folder, if what it holds is run."""
_COMMANDS = (f"touch {MARKER}", f"touch$IFS{MARKER}", f"exec touch {MARKER}", f"> {MARKER}")
_WRAPPED = (
    "a;{}", "a\n{}\n", "a\n!{}\n", "!{}", "a; !{}", "$({})", "`{}`", "a|{}", "a&{}&", "a && {}",
    "'; {}; '", '"; {}; "', "a'{}'", 'a"{}"', "a\\\n{}", "#\n{}", "[{}]", "[exec {}]", "{{{}}}",
    "$({}).x", "$(shell {})", "${{shell {}}}", "%{}%", "\t{}", "a\r\n{}", "*; {}", "-o {}", "--{}",
    "@{}", "~{}", "a:{}", "a=\n{}", "\u202e{}", "\u00e9 {}", "\u2028{}", "\x1b]0;{}\x07",
    "a ; {} #",
)  # fmt: skip
_OTHERS = (
    "-", "--", "-f", "-exe", "--exe", "--build", "-CFLAGS", "+incdir+x", "@args", ".", "..", "...",
    ".hidden", "a b", " a", "a ", "\ta", "a\n", "\n", "\\", "\\\\", "'", '"', "`", "$", "$$",
    "$PATH", "${PATH}", "%PATH%", "*", "?", "[a-z]", "{a,b}", "(", ")", "(*", "*)", "<", ">", "|",
    "&", ";", "#", "!", "!x", "~", "~root", "^", "%s%n", "\u0430", "\U0001f600", "e\u0301",
    "\u200b", "\ufeffa", "a" * 200, "con", "nul", "module", "endmodule", "top-", "1a", "null",
    "true", "1e5", "<b>", "<i src=x onerror=x>", "<td>", "'><svg onload=x>", "&lt;b&gt;", "-->",
)  # fmt: skip


def names() -> tuple[str, ...]:
    """Return over 200 different names without ``/`` and NUL, so that a file may have each."""
    wrapped = (form.format(command) for form in _WRAPPED for command in _COMMANDS)
    return tuple(dict.fromkeys([*wrapped, *_OTHERS]))
