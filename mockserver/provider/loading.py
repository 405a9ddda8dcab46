"""From the files of a folder to a `Provider`: all checks, the compilation and the dress rehearsal, in their order.

The order matters to who reads a refusal: shapes first, then words, then what only the whole can show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.errors import SchemaFolderError
from mockserver.provider import checks
from mockserver.provider import variants as open_questions
from mockserver.provider.compile import Compiler
from mockserver.provider.documents import Documents, locate
from mockserver.provider.model import Provider
from mockserver.provider.rehearsal import rehearse


def compile_files(
    files: Mapping[str, Any], name: str, readings: Mapping[str, str], *, checked: bool = False
) -> Provider:
    """Compile the parsed files of a folder; see `Folder.compile`."""
    asked = locate(files.get("variants.json", {}), "variants.json")
    if not checked:
        for file, content in files.items():
            if not isinstance(content, dict):
                raise SchemaFolderError(file, "", f"is {type(content).__name__}; an object is needed")
        checks.check_file(asked, "variants")
    variants = open_questions.variants_of(asked, files.get("variants.json", {}))
    if not checked:
        checks.check_patches(files, variants)
    chosen = open_questions.choose(variants, readings, folder=name)
    patched = {file: content for file, content in files.items() if file != "variants.json"}
    documents = Documents(open_questions.apply(patched, variants, chosen))
    if checked:
        return Compiler(name, documents, variants, chosen).provider()
    for file in (file for file in ("openapi", "machine", "errors", "asyncapi") if f"{file}.json" in patched):
        checks.check_file(documents[f"{file}.json"], file)
    checks.check_keys(documents)
    checks.check_sources(documents, asked)
    provider = Compiler(name, documents, variants, chosen).provider()
    checks.check_machine(documents["machine.json"])
    checks.check_bound(documents)
    checks.check_branches(documents)
    rehearse(provider, documents)
    return provider
