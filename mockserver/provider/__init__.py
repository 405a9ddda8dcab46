"""The promise: a folder of data, loaded and compiled to a `Provider`. No time, no web.

`load` reads a folder, compiles it and refuses what cannot be; `check` does so for every reading of every variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mockserver.errors import SchemaFolderError, UserError
from mockserver.provider import checks
from mockserver.provider import variants as open_questions
from mockserver.provider.compile import Compiler
from mockserver.provider.documents import Documents, locate, read_json
from mockserver.provider.model import Provider
from mockserver.provider.rehearsal import rehearse

REQUIRED = ("openapi.json", "machine.json", "errors.json")
OPTIONAL = ("asyncapi.json", "variants.json")

__all__ = ["Provider", "check", "load"]


def load(folder: Path, *, name: str | None = None, readings: Mapping[str, str] | None = None) -> Provider:
    """Load a folder with a choice of readings (variant -> reading; the default where none is named).

    Raises:
        SchemaFolderError: the folder contradicts itself; says file, JSON pointer, what was found, what would be right.
        UserError: *readings* names a variant or reading that the folder does not have.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {str(folder)!r}; a provider is a folder with {', '.join(REQUIRED)}")
    files = {file: read_json(folder / file) for file in REQUIRED}
    files |= {file: read_json(folder / file) for file in OPTIONAL if (folder / file).exists()}
    return compile_files(files, name or folder.name, readings or {})


def compile_files(files: Mapping[str, Any], name: str, readings: Mapping[str, str]) -> Provider:
    """Compile the parsed files of a folder; see `load`.

    The order matters to who reads a refusal: shapes first, then words, then what only the whole can show.
    """
    for file, content in files.items():
        if not isinstance(content, dict):
            raise SchemaFolderError(file, "", f"is {type(content).__name__}; an object is needed")
    asked = locate(files.get("variants.json", {}), "variants.json")
    checks.check_file(asked, "variants")
    variants = open_questions.variants_of(asked, files.get("variants.json", {}))
    checks.check_patches(files, variants)
    chosen = open_questions.choose(variants, readings, folder=name)
    patched = {file: content for file, content in files.items() if file != "variants.json"}
    documents = Documents(open_questions.apply(patched, variants, chosen))
    for file in (file for file in ("machine", "errors", "asyncapi") if f"{file}.json" in patched):
        checks.check_file(documents[f"{file}.json"], file)
    checks.check_keys(documents)
    checks.check_sources(documents, asked)
    provider = Compiler(name, documents, variants, chosen).provider()
    checks.check_machine(documents["machine.json"])
    checks.check_bound(documents)
    checks.check_branches(documents)
    rehearse(provider, documents)
    return provider


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
