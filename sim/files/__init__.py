"""The door for files of a build folder: reading within bounds (models.files), program.json's form.

In a build folder the copies of those modules lie here (codesign.build.carried).
"""

from models.files import arrays, forms, names, reading

__all__ = ["arrays", "forms", "names", "program_json", "reading"]
