"""Names of an NPU's Verilog modules where other Verilog stands beside it.

Inside this project a module has its plain name (``npu``, ``npu_ram``), so that NPUs share what is
known of equal modules. In a build folder its name tells whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ConfigError

TOP = "npu"
"""Plain name of the top module; the plain names of the others start with it and ``_``."""
LONGEST_PREFIX = 32
_HASH_DIGITS = 8


def check_prefix(prefix: str) -> None:
    """Raise ConfigError unless ``prefix`` is empty or the start of a Verilog name.

    That is a letter or ``_``, then letters, digits and ``_``, at most LONGEST_PREFIX in all.
    """
    good = re.fullmatch(r"([A-Za-z_]\w*)?", prefix, re.ASCII)
    if not good or len(prefix) > LONGEST_PREFIX:
        raise ConfigError(
            f"prefix must be a letter or _, then letters, digits and _, at most {LONGEST_PREFIX} "
            f"in all, not {prefix!r}"
        )


@dataclass(frozen=True)
class Names:
    """Module names of one NPU in a build folder, from which its plain names follow.

    Inner modules carry the configuration's hash, so that those of different NPUs have different
    names; their top modules have one name unless the prefixes differ. Raises ConfigError for an
    invalid prefix (``check_prefix``).

    >>> names = Names(NpuConfig(), "left_")
    >>> names.top, names.of("npu_ram")
    ('left_npu', 'left_npu_e8c493ab_ram')
    """

    config: NpuConfig
    prefix: str = ""
    """Text before every name."""

    def __post_init__(self) -> None:
        check_prefix(self.prefix)

    @staticmethod
    def of_files(config: NpuConfig, files: Iterable[str]) -> Names:
        """Return the names in a build folder, from the file names of its Verilog.

        The first file whose module ends with TOP gives the prefix; it is empty if there is none.
        Raises ConfigError for an invalid prefix.
        """
        tops = [name for name in map(_module, files) if name.endswith(TOP)]
        return Names(config, tops[0].removesuffix(TOP) if tops else "")

    @property
    def top(self) -> str:
        """Name of the top module."""
        return self.prefix + TOP

    @property
    def _inner(self) -> str:
        return f"{self.top}_{self.config.hash[:_HASH_DIGITS]}_"

    def of(self, module: str) -> str:
        """Return the name of the module whose plain name is ``module``."""
        return self.top if module == TOP else self._inner + module.removeprefix(f"{TOP}_")

    def plain(self, module: str) -> str:
        """Return the plain name of a module, the inverse of ``of``; other names as they are."""
        if module == self.top:
            return TOP
        if module.startswith(self._inner):
            return f"{TOP}_{module.removeprefix(self._inner)}"
        return module

    def named(self, plain: Mapping[str, str]) -> dict[str, str]:
        """Return Verilog with plain names (file name -> text) with these names instead."""
        return _renamed(plain, {name: self.of(name) for name in map(_module, plain)})

    def unnamed(self, named: Mapping[str, str]) -> dict[str, str]:
        """Return Verilog with plain names, the inverse of ``named``."""
        return _renamed(named, {name: self.plain(name) for name in map(_module, named)})


def _module(file: str) -> str:
    return PurePath(file).stem


def _renamed(files: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Rename files and modules (old name -> new one) wherever the texts have them as words."""
    words = re.compile(rf"(?<![\w$\\])(?:{'|'.join(map(re.escape, names))})(?![\w$])")
    return {
        f"{names[_module(file)]}.v": words.sub(lambda match: names[match[0]], text)
        for file, text in sorted(files.items())
    }
