"""The door for files of a build folder: reading within bounds, temporary folders (models.files).

``program_json`` is the form of program.json. In a build folder the copies of those modules lie here
(codesign.build.carried).
"""

from models.files import arrays, forms, names, private, reading, temporary

__all__ = ["arrays", "forms", "names", "private", "program_json", "reading", "temporary"]
