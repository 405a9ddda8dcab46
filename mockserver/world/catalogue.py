"""Which node classes a ComfyUI knows: their inputs with types, ranges and choices, and their outputs.

Reads the answer of `GET /object_info`, which stays the one truth: a `NodeClass` is made from it when first asked for.
Knows nothing of graphs: what a graph makes of its nodes is `graphcheck.py` (is it valid?) and `plan.py` (what runs?).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from mockserver import data
from mockserver.errors import UserError
from mockserver.provider.documents import merge_patch

Json = Any
Models = Mapping[str, Sequence[str]]
"""Folder of model files (`checkpoints`, `loras`, ...) -> the names in it."""

LITERAL_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
"""Types whose value a graph may give itself. `COMBO` stands for both ways a list of choices is written."""


class Input(NamedTuple):
    """One declared input of a node class."""

    name: str
    type: str
    """`COMBO` for a list of choices, however it is written."""
    choices: tuple[Json, ...] | None
    options: Mapping[str, Json]
    """`default`, `min`, `max`, `step`, `multiselect`, ...; never None."""
    required: bool
    declared: Json
    """The declaration as `/object_info` shows it, always with options: `["INT", {}]`."""
    folder: str | None = None
    """Folder of model files the choices list, if they do."""

    @property
    def literal(self) -> bool:
        """Whether a graph may give the value itself rather than a link."""
        return self.type in LITERAL_TYPES

    @property
    def multiselect(self) -> bool:
        return bool(self.options.get("multiselect"))

    @property
    def upload(self) -> bool:
        """Whether the choices are input files of a world, which come and go."""
        return any(self.options.get(key) for key in _UPLOADS)


class NodeClass:
    """One node class. `inputs` holds required and optional ones in declared order, not the hidden ones."""

    __slots__ = ("__dict__", "display_name", "hidden", "hidden_inputs", "inputs", "name", "output_node", "outputs")

    def __init__(self, name: str, document: Mapping[str, Json]) -> None:
        declared = document.get("input") or {}
        order = document.get("input_order") or {}
        self.name = name
        self.display_name: str = document.get("display_name") or name
        self.output_node = document.get("output_node") is True
        self.outputs: tuple[Json, ...] = tuple(document.get("output") or ())
        """Type by slot: a name, or a list of choices."""
        self.hidden: tuple[str, ...] = tuple(declared.get("hidden") or ())
        self.hidden_inputs: tuple[tuple[str, str], ...] = tuple(
            (each, kind if isinstance(kind, str) else str(kind[0]))
            for each, kind in (declared.get("hidden") or {}).items()
        )
        """Name of each hidden input, and what ComfyUI gives there."""
        self.inputs: Mapping[str, Input] = dict(_declared(name, declared, order))

    @functools.cached_property
    def dynamic(self) -> bool:
        """Whether some inputs exist only for some values of others."""
        return any(each.type in _DYNAMIC for each in self.inputs.values())

    def inputs_for(self, values: Mapping[str, Json]) -> Mapping[str, Input]:
        """Return the inputs a node with *values* has: dynamic ones replaced by what the values make of them."""
        if not self.dynamic:
            return self.inputs
        found: dict[str, Input] = {}
        for each in self.inputs.values():
            found.update((one.name, one) for one in _expanded(self.name, each, values))
        return found

    def __repr__(self) -> str:
        return f"NodeClass({self.name!r})"


class Catalogue(Mapping[str, NodeClass]):
    """Node classes by name. Never changes; `extended` makes another."""

    def __init__(self, document: Mapping[str, Mapping[str, Json]]) -> None:
        self.document = document
        """As `GET /object_info` shows it."""
        self._made: dict[str, NodeClass] = {}

    def __getitem__(self, name: str) -> NodeClass:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = NodeClass(name, self.document[name])
        return made

    def __contains__(self, name: object) -> bool:
        return name in self.document

    def __iter__(self) -> Iterator[str]:
        return iter(self.document)

    def __len__(self) -> int:
        return len(self.document)

    def shown(self, name: str, files: Callable[[Sequence[str]], Sequence[str]]) -> Mapping[str, Json]:
        """Return a class as `GET /object_info` shows it while the input folder holds *files*.

        Args:
            files: gives the names of files whose media type begins with one of the words given.
        """
        shown = self.document[name]
        groups: dict[str, Json] = {}
        for group in ("required", "optional"):
            declared = (shown.get("input") or {}).get(group) or {}
            changed = {
                each: [list(files(kinds)), *declaration[1:]] if isinstance(declaration[0], list) else
                [declaration[0], {**declaration[1], "options": list(files(kinds))}]
                for each, declaration in declared.items()
                if (kinds := _kinds_of(name, declaration)) is not None
            }  # fmt: skip
            if changed:
                groups[group] = {**declared, **changed}
        return {**shown, "input": {**shown["input"], **groups}} if groups else shown

    def changed(self, patch: Mapping[str, Json]) -> Catalogue:
        """Return a catalogue in which classes are changed by a JSON Merge Patch of what `/object_info` shows."""
        return Catalogue(merge_patch(self.document, patch))

    def extended(self, documents: Iterable[Mapping[str, Json]] = (), models: Models | None = None) -> Catalogue:
        """Return a catalogue with the classes of *documents* added (the last of one name wins) and *models* in place.

        Args:
            documents: answers of `/object_info`.
            models: these files become the choices of every input that lists files of their folder. Choices that are
                no files (`pixel_space`) stay.
        """
        document = dict(self.document)
        for more in documents:
            document.update(more)
        if models:
            document = {name: _with_models(name, shown, models) for name, shown in document.items()}
        return Catalogue(document)


def models(paths: Sequence[Path]) -> Mapping[str, Sequence[str]]:
    """Return the model files that *paths* name, by folder; see `load`."""
    return _read_models(paths)


def load(*, nodes: Sequence[Path] = (), models: Sequence[Path] = ()) -> Catalogue:
    """Return the shipped catalogue, extended by files.

    Args:
        nodes: saved answers of `/object_info`.
        models: JSON files `{"checkpoints": ["a.safetensors"], ...}`, or folders laid out as ComfyUI's `models`.

    Raises:
        UserError: a file is missing or is not what it should be.
    """
    catalogue = _shipped()
    if not nodes and not models:
        return catalogue
    return catalogue.extended([_read_nodes(path) for path in nodes], _read_models(models))


def folder_of(node_class: str, input_name: str) -> str | None:
    """Return the folder of model files that *input_name* of *node_class* lists; None if it lists no model files."""
    return _FOLDER_BY_CLASS.get((node_class, input_name)) or _FOLDER_BY_INPUT.get(input_name)


# Read off ComfyUI's loaders: /object_info shows the names in a folder but not which folder it was.
_FOLDER_BY_INPUT = {
    "ckpt_name": "checkpoints",
    "config_name": "configs",
    "lora_name": "loras",
    "vae_name": "vae",
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "text_encoder": "text_encoders",
    "control_net_name": "controlnet",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
    "bg_removal_name": "background_removal",
}
_FOLDER_BY_CLASS = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("DiffusersLoader", "model_path"): "diffusers",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("LatentUpscaleModelLoader", "model_name"): "latent_upscale_models",
    ("FrameInterpolationModelLoader", "model_name"): "frame_interpolation",
    ("LoadDA3Model", "model_name"): "geometry_estimation",
    ("LoadMoGeModel", "model_name"): "geometry_estimation",
    ("LoadMediaPipeFaceLandmarker", "model_name"): "detection",
    ("OpticalFlowLoader", "model_name"): "optical_flow",
    ("ModelPatchLoader", "name"): "model_patches",
}

# What the loaders with such an option list, by media type.
_LISTED = {"image_upload": ("image",), "audio_upload": ("audio", "video"), "video_upload": ("video",)}
_UPLOADS = ("image_upload", "audio_upload", "video_upload", "file_upload")

_DYNAMIC = frozenset({"COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"})


@functools.cache
def _shipped() -> Catalogue:
    return Catalogue(orjson.loads((data.schemas() / "_nodes" / "object_info.json").read_bytes()))


def _declared(node_class: str, groups: Mapping[str, Json], order: Mapping[str, Json]) -> Iterator[tuple[str, Input]]:
    for group in ("required", "optional"):
        declared = groups.get(group) or {}
        # A saved catalogue may have sorted members; input_order is the order the author wrote.
        names = [name for name in order.get(group) or () if name in declared]
        for name in dict.fromkeys([*names, *declared]):
            yield name, _input(node_class, name, declared[name], required=group == "required")


def _input(node_class: str, name: str, declared: Json, *, required: bool) -> Input:
    kind = declared[0]
    options: Mapping[str, Json] = declared[1] if len(declared) > 1 else {}
    choices: tuple[Json, ...] | None = None
    if isinstance(kind, list):
        choices = tuple(kind)
    elif kind == "COMBO":
        choices = tuple(options.get("options") or ())
    return Input(
        name,
        "COMBO" if choices is not None else kind,
        choices,
        options,
        required,
        [kind, options],
        None if choices is None else folder_of(node_class, name),
    )


def _expanded(node_class: str, each: Input, values: Mapping[str, Json]) -> Iterator[Input]:
    """Yield what ComfyUI makes of one declared input, given the node's values.

    Source: ComfyUI's `get_finalized_class_inputs`; members of a dynamic input are named `<input>.<member>`.
    """
    if each.type == "COMFY_DYNAMICCOMBO_V3":
        chosen = values.get(each.name)
        if isinstance(chosen, dict) and "__value__" in chosen:
            chosen = chosen["__value__"]
        for option in each.options.get("options") or ():
            if option.get("key") == chosen and each.name in values:
                yield each
                for name, one in _declared(node_class, option.get("inputs") or {}, {}):
                    renamed = _input(node_class, f"{each.name}.{name}", one.declared, required=one.required)
                    yield from _expanded(node_class, renamed, values)
                return
        if each.required and each.name not in values:
            yield each
    elif each.type == "COMFY_AUTOGROW_V3":
        template = each.options.get("template") or {}
        least = template.get("min", 0)
        names = template.get("names") or [f"{template.get('prefix', '')}{i}" for i in range(template.get("max", 0))]
        groups = [(group, one) for group, members in (template.get("input") or {}).items() for one in members.values()]
        for group, declared in itertools.islice(groups, 1):
            for place, name in enumerate(names):
                required = group == "required" and place < least
                yield _input(node_class, f"{each.name}.{name}", declared, required=required)
    else:
        yield each


def _kinds_of(name: str, declaration: Json) -> Sequence[str] | None:
    """Return the media types of the input files that an input lists; None if it lists none of them."""
    options = declaration[1] if len(declaration) > 1 and isinstance(declaration[1], dict) else {}
    if options.get("remote") or (not isinstance(declaration[0], list) and "options" not in options):
        return None
    return next((kinds for option, kinds in _LISTED.items() if options.get(option)), None)


def _with_models(name: str, shown: Mapping[str, Json], models: Models) -> Mapping[str, Json]:
    """Return the class with the choices of its model files replaced; the same object if it lists none."""
    groups = {}
    for group, declared in (shown.get("input") or {}).items():
        if group == "hidden":
            continue
        changed = {}
        for each, declaration in declared.items():
            files = models.get(folder_of(name, each) or "")
            if files is not None:
                replaced = _with_choices(declaration, files)
                if replaced is not None:
                    changed[each] = replaced
        if changed:
            groups[group] = {**declared, **changed}
    return {**shown, "input": {**shown["input"], **groups}} if groups else shown


def _with_choices(declaration: Json, files: Sequence[str]) -> Json | None:
    kind, *rest = declaration
    if isinstance(kind, list):
        return [[*(one for one in kind if not _is_file(one)), *files], *rest]
    if kind == "COMBO":
        options = rest[0] if rest else {}
        kept = [one for one in options.get("options") or () if not _is_file(one)]
        return [kind, {**options, "options": [*kept, *files]}]
    return None


def _is_file(choice: Json) -> bool:
    return isinstance(choice, str) and "." in choice


def _read_nodes(path: Path) -> Mapping[str, Json]:
    document = _read_json(path)
    if not isinstance(document, dict) or not document:
        raise UserError(f"{path} is no node catalogue: save the answer of GET /object_info in it")
    for name, shown in document.items():
        if not isinstance(shown, dict) or "input" not in shown or "output" not in shown:
            raise UserError(
                f"{path} is no node catalogue: {name!r} has no 'input' and 'output'; "
                "save the answer of GET /object_info in it"
            )
        try:
            NodeClass(name, shown)
        except (TypeError, AttributeError, KeyError, IndexError):
            raise UserError(
                f"{path}: an input of node class {name!r} is not declared as [TYPE, {{options}}]; "
                "save the answer of GET /object_info unchanged"
            ) from None
    return document


def _read_models(paths: Sequence[Path]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        for folder, names in _read_model_lists(path).items():
            known = found.setdefault(folder, [])
            known.extend(name for name in names if name not in known)
    return found


def _read_model_lists(path: Path) -> Mapping[str, Sequence[str]]:
    if path.is_dir():
        return {
            folder.name: sorted(
                str(file.relative_to(folder).as_posix()) for file in folder.rglob("*") if file.is_file()
            )
            for folder in sorted(path.iterdir())
            if folder.is_dir()
        }
    document = _read_json(path)
    if isinstance(document, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in document.values()
    ):
        return document
    raise UserError(
        f'{path} is no list of models: write {{"checkpoints": ["name.safetensors"], ...}}, or name a folder'
    )


def _read_json(path: Path) -> Json:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as problem:
        raise UserError(f"{path} cannot be read: {problem.strerror}; name a JSON file") from None
    except orjson.JSONDecodeError as problem:
        raise UserError(f"{path} is not JSON: {problem}") from None
