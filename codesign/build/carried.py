"""Our own sources that every build folder carries: simulation bench, driver and door for files."""

from __future__ import annotations

from pathlib import Path

import models.files
import sim

Files = dict[str, bytes]
"""Content of each file, by its path in the build folder."""
_DRIVER_FILES = {"npu.py": "driver.py", "layout.py": "layout.py", "folder.py": "folder.py"}
"""File in driver/ -> its source in the sim package, both as file names."""
_DOOR = ("reading.py", "forms.py", "zips.py", "arrays.py", "names.py")
"""Modules of models.files that sim/files and driver/files hold copies of."""
_EMPTY = ("driver/__init__.py", "driver/files/__init__.py", "sim/files/__init__.py")


def carried() -> Files:
    """Return the contents of sim/ and driver/ of a build folder. Raises OSError.

    The header driver/npu_regs.h, which depends on the NPU, is not among them.
    """
    package = Path(sim.__path__[0])
    ours = [*package.glob("*.py"), *package.glob("tools/*.py")]
    copies = {f"sim/{file.relative_to(package)}": file for file in sorted(ours)}
    copies |= {f"driver/{name}": package / source for name, source in _DRIVER_FILES.items()}
    door = {name: Path(models.files.__path__[0]) / name for name in _DOOR}
    door["program_json.py"] = package / "files" / "program_json.py"
    for user in ("sim", "driver"):
        copies |= {f"{user}/files/{name}": file for name, file in door.items()}
    for name in ("private.py", "temporary.py"):
        copies[f"sim/files/{name}"] = Path(models.files.__path__[0]) / name
    contents = {path: source.read_bytes() for path, source in copies.items()}
    return contents | dict.fromkeys(_EMPTY, b"")
