"""The promise: a folder of data, loaded and compiled to a `Provider`. No time, no web.

`load` reads a folder, compiles it and refuses what cannot be; `check` does so for every reading of every variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mockserver.errors import SchemaFolderError
from mockserver.provider.folder import Folder
from mockserver.provider.model import Provider

__all__ = ["Folder", "Provider", "check", "load"]


def load(folder: Path, *, name: str | None = None, readings: Mapping[str, str] | None = None) -> Provider:
    """Load a folder with a choice of readings (variant -> reading; the default where none is named).

    Raises:
        SchemaFolderError: the folder contradicts itself; says file, JSON pointer, what was found, what would be right.
        UserError: *readings* names a variant or reading that the folder does not have.
    """
    return Folder(folder, name=name, readings=readings).compile()


def check(folder: Path, *, name: str | None = None) -> list[Provider]:
    """Load *folder* with each reading of each variant, one at a time.

    Returns:
        the provider as loaded by default, then one for each other reading.

    Raises:
        SchemaFolderError: as `load`; that of a reading names variant and reading too.
    """
    default = load(folder, name=name)
    loaded = [default]
    for variant in default.variants.values():
        for reading in variant.readings:
            if reading != variant.default:
                try:
                    loaded.append(load(folder, name=name, readings={variant.name: reading}))
                except SchemaFolderError as error:
                    told = f"{error.problem} (with the reading {variant.name}={reading})"
                    raise SchemaFolderError(error.file, error.pointer, told) from None
    return loaded
