"""The door for files: everything that a user names is read and written here, within bounds.

A file may come from elsewhere. Regular files alone are opened, sizes are known before memory is
taken, and an error in one is a FileError with file and place, but for what Pillow raises;
writing raises OSError. ``reading`` has the limits, text and JSON;
``nodes`` is the typed tree that ``yaml_io`` and ``json_io`` make, of which values are taken one by
one; ``forms`` checks a JSON file that is used as plain data. ``tables`` reads CSV, ``arrays`` .npy
and .npz, ``zips`` archives, ``pictures`` opens images, ``pickles`` reads values without running
anything; ``writing`` writes files, ``folders``
whole folders, atomically, never through a link; ``private`` makes folders that are
the user's alone, ``temporary`` such that are removed even after a kill; ``names`` says which names
may enter scripts of tools. Build folders carry ``reading``, ``forms``, ``zips``, ``arrays``,
``names``, ``private`` and ``temporary`` (sim.files).
"""

__all__ = [
    "arrays",
    "folders",
    "forms",
    "json_io",
    "names",
    "nodes",
    "pickles",
    "pictures",
    "private",
    "reading",
    "tables",
    "temporary",
    "writing",
    "yaml_io",
    "zips",
]
