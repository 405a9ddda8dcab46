"""What a service runs: hosted workflows, the node catalogue, and how a submit becomes work.

Binds the world's `Setup` to the user's settings and to what the provider answers: an override that names what is not
there is refused, fails the task, or is ignored, as errors.json has an answer for it; it always stands in the problems.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from mockserver import data
from mockserver.errors import Refused
from mockserver.provider.encoding import Prepared
from mockserver.provider.model import Present, Provider
from mockserver.provider.scope import Chance
from mockserver.settings import Settings
from mockserver.storage.objects import own_results
from mockserver.storage.recipe import missing
from mockserver.web.findings import CheckView, facts_of_check
from mockserver.web.links import FILES
from mockserver.world import catalogue as catalogues
from mockserver.world import plan as plans
from mockserver.world import workflow as workflows
from mockserver.world.catalogue import Catalogue
from mockserver.world.families import Families
from mockserver.world.files import File
from mockserver.world.graphcheck import Finding, GraphCheck, check
from mockserver.world.order import signatures
from mockserver.world.service import Service
from mockserver.world.setup import Order, Setup, Work
from mockserver.world.task import FINE, Fault, Outlook, Task
from mockserver.world.workflow import Workflow

Note = Callable[..., None]


class Hosting:
    """The workflows and catalogue of one emulator; shared by all its worlds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._own_catalogues: dict[str, Catalogue] = {}
        self._families: dict[str, Families] = {}

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        return catalogues.load(nodes=self.settings.nodes, models=self.settings.models)

    def catalogue_of(self, provider: Provider) -> Catalogue:
        """Return the node catalogue that a provider has: ours, where its machine.json says nothing else."""
        if not provider.machine.classes:
            return self.catalogue
        if provider.name not in self._own_catalogues:
            self._own_catalogues[provider.name] = self.catalogue.changed(provider.machine.classes)
        return self._own_catalogues[provider.name]

    def families_of(self, provider: Provider) -> Families:
        """Return the families of the whole graphs that a provider was sent."""
        if provider.name not in self._families:
            self._families[provider.name] = Families(self.catalogue_of(provider))
        return self._families[provider.name]

    @functools.cached_property
    def samples(self) -> Mapping[str, Workflow]:
        """The documented workflows, by their documented ids."""
        return workflows.load(data.fixtures() / "workflows", self.catalogue)

    @functools.cached_property
    def own(self) -> Mapping[str, Workflow]:
        """The user's workflows."""
        folder = self.settings.workflows_dir
        graphs = self.settings.workflows
        given = {id: workflows.make_workflow(id, graph, self.catalogue) for id, graph in graphs.items()}
        return given if folder is None else {**given, **workflows.load(Path(folder), self.catalogue)}

    def workflow(self, id: str, provider: Provider) -> Workflow:
        """Return the hosted workflow of *id*; one that nobody brought runs the provider's first sample."""
        return self.own.get(id) or self.samples.get(id) or self._stand_in(provider)

    def problem_of(
        self, provider: Provider, graph: Any, targets: Sequence[str] | None, found: GraphCheck | None = None
    ) -> dict[str, Any] | None:
        """Return why ComfyUI would not run a whole graph, as facts for the texts of errors.json; None if it would."""
        found = check(graph, self.catalogue_of(provider), targets=targets) if found is None else found
        if found.problem is None:
            return None
        findings = [*found.at_outputs, *(finding for node in found.nodes for finding in node.findings)]
        if findings and _assumes_files(provider):
            # Which models such a service has is not known either.
            findings = [finding for finding in findings if "folder" not in finding.facts]
            if not findings:
                return None
        finding = next(iter(findings), found.problem)
        return {**facts_of_check(provider, found), "violation.text": facts_of(finding)["override.text"]}

    def _stand_in(self, provider: Provider) -> Workflow:
        kind = provider.machine.kinds.get("workflow")
        for present in kind.present if kind is not None else ():
            if present.id is not None and present.id in self.samples:
                return self.samples[present.id]
        # One that needs no input file runs as it stands.
        return next(one for one in self.samples.values() if not one.plan().images)

    def _lacking(self, extension: str) -> str | None:
        """See `Setup.lacking`; the user's own files take nothing."""
        folder = self.settings.results_dir
        if folder is not None and own_results(folder, extension):
            return None
        return missing(extension)

    def setup(
        self, provider: Provider, secrets: Mapping[str, str], note: Note, service: Callable[[], Service]
    ) -> Setup:
        """Return the settings of one service, which *service* finds once it is made."""
        present: dict[str, list[Present]] = {}
        if "workflow" in provider.machine.kinds:
            present["workflow"] = [Present(id, None, {}) for id in self.own]
        if "account" in provider.machine.kinds:
            present["account"] = [
                Present(
                    entry["id"],
                    None,
                    document_of(entry),
                )
                for entry in self.settings.accounts
                if "id" in entry
            ]
        inputs = _Inputs(provider, service)
        cache = provider.machine.kinds["task"].options.get("cache")
        kept = _Kept(self.catalogue_of(provider), inputs, cache) if cache is not None else None
        lists = catalogues.models(self.settings.models) if self.settings.models else {}
        for name, kind in provider.machine.kinds.items():
            if lists and kind.options.get("lists") == "models":
                known = [one.id for one in kind.present if one.id is not None]
                present[name] = [
                    Present(id, None, {"files": list(lists.get(id, ()))}) for id in dict.fromkeys([*known, *lists])
                ]
        return Setup(
            plan=_Planning(self, provider, note, inputs).plan,
            duration=_pace(provider),
            outlook=_outlook(self, provider),
            resolve_input=inputs.resolve,
            readable=inputs.readable,
            catalogue=_Shown(self.catalogue_of(provider), service).classes,
            locate=inputs.locate,
            lacking=self._lacking,
            recall=None if kept is None else kept.recall,
            remember=None if kept is None else kept.remember,
            forget=None if kept is None else kept.forget,
            label=_labels(self, provider),
            present=present,
            open=frozenset({"workflow"}) if self.settings.any_workflow else frozenset(),
            slots=self.settings.slots,
            secrets=secrets,
        )


class _Planning:
    """Turns what a submit asks for into work."""

    def __init__(self, hosting: Hosting, provider: Provider, note: Note, inputs: _Inputs) -> None:
        self.hosting, self.provider, self.note, self.inputs = hosting, provider, note, inputs
        self.again = self._again  # one for all tasks

    def plan(self, order: Order) -> Work:
        """Plan *order*; raise `Refused` where the provider would."""
        if order.check == "graph" and (order.graph or "workflow" not in order.things):
            return self._checked(order)
        if order.graph and isinstance(order.graph, Mapping):
            return self._work(order.graph, order.targets)
        if "workflow" not in order.things:
            raise Refused("workflow-unnamed", {"workflow.id": ""})
        workflow = self.hosting.workflow(order.things["workflow"].id, self.provider)
        self._check_version(order.version, workflow)
        graph, findings = _changed(workflow, order, order.chance)
        for finding in findings:
            self._found(finding, workflow)
        plan = workflow.plan(graph)
        images = plans.image_inputs(plan, graph)
        sizes = self.inputs.sizes(images)
        if sizes:
            plan = workflow.plan(graph, sizes=sizes)
        return Work(plan, graph, order.targets, images, again=self.again)

    def _again(self, task: Task) -> Any:
        """Return the graph of a task that runs a hosted workflow, from what the client gave."""
        workflow = self.hosting.workflow(task.things["workflow"].id, self.provider)
        return _changed(workflow, task, task.runs.prepared(task.number))[0]

    def _checked(self, order: Order) -> Work:
        """Plan a whole graph as ComfyUI does: what may run of it, with its literals coerced."""
        catalogue, files = self.hosting.catalogue_of(self.provider), self.inputs.names
        found = check(order.graph, catalogue, targets=order.targets, files=files, lenient=order.lenient)
        problem = self.hosting.problem_of(self.provider, order.graph, order.targets, found)
        if problem is not None:
            raise Refused("workflow-invalid", problem)
        if found.problem is not None:
            return self._work(order.graph, order.targets)
        view = CheckView(self.provider, found) if found.nodes else None
        return self._work(found.graph, found.outputs)._replace(check=view)

    def _work(self, graph: Any, targets: Sequence[str] | None) -> Work:
        families = self.hosting.families_of(self.provider)
        plan = families.plan(graph, targets)
        images = plans.image_inputs(plan, graph)
        sizes = self.inputs.sizes(images)
        if sizes:
            plan = families.plan(graph, targets, sizes)
        return Work(plan, graph, targets, images)

    def _check_version(self, version: str | None, workflow: Workflow) -> None:
        if version is None or workflow.publication.knows(version):
            return
        known = (*workflow.publication.versions, *workflow.publication.aliases)
        self.note(rule="workflow-version-unknown", workflow=workflow.id, got=version, expected=known)
        if any("version-unknown" in operation.refusals for operation in self.provider.operations):
            raise Refused("version-unknown", {"workflow.id": workflow.id, "workflow.version": version})

    def _found(self, finding: Finding, workflow: Workflow) -> None:
        facts = facts_of(finding)
        self.note(
            rule=f"workflow-{finding.name}",
            workflow=workflow.id,
            **{name.replace(".", "_"): value for name, value in facts.items()},
        )
        if any("override-invalid" in operation.refusals for operation in self.provider.operations):
            raise Refused("override-invalid", facts)


def _changed(workflow: Workflow, asked: Order | Task, chance: Chance) -> tuple[Any, tuple[Finding, ...]]:
    """Return the graph of a hosted workflow with what the client set in it, and what is wrong with that."""
    overrides = dict(asked.overrides or {})
    findings: tuple[Finding, ...] = ()
    if asked.inputs is not None and isinstance(asked.inputs, Mapping):
        overrides, findings = workflow.named(asked.inputs)
    graph, more = workflow.apply(overrides)
    if asked.new_seeds:
        graph, _ = workflow.apply(_merged(overrides, plans.fresh_seeds(workflow.plan(graph), chance)))
    return graph, (*findings, *more)


class _Inputs:
    """Finds input files by the values graphs name."""

    def __init__(self, provider: Provider, service: Callable[[], Service]) -> None:
        self._service = service
        kind = provider.machine.kinds.get("file")
        outside = kind.options.get("outside") if kind is not None else None
        self._outside = re.compile(outside) if outside else None
        self._assumed = _assumes_files(provider)
        stored = kind is not None and "store" in kind.options
        self._bucket = kind.options.get("bucket", provider.name) if kind is not None and stored else None

    @property
    def names(self) -> Container[str] | None:
        """The names of input files that are there; None where all count as being there."""
        return None if self._assumed else _Names(self)

    def readable(self, task: Task, value: str) -> bool:
        """Return whether a file that is called a picture is one."""
        found = self.resolve(task, value)
        uploaded = isinstance(found, File) and found.content is not None
        return not (uploaded and found.media.startswith("image/") and found.width is None and found.number)

    def sizes(self, images: Sequence[tuple[str, str]]) -> dict[str, tuple[int, int]]:
        """Return the pixels of those input files that are at hand: results take their size from them."""
        found = {}
        for _, value in images:
            key = self.locate(value)
            file = self._service().files.input(value) if key is None else self._service().files.find(key=key)
            if file is not None and file.width is not None and file.height is not None:
                found[value] = (file.width, file.height)
        return found

    def locate(self, address: str) -> str | None:
        """Return the key of an address in the provider's own store, by ours or its real name; None elsewhere."""
        try:
            url = urlsplit(address)
        except ValueError:
            return None
        if self._bucket is None or url.scheme not in ("http", "https"):
            return None
        path = unquote(url.path.lstrip("/"))
        _, ours, key = f"/{path}".partition(f"{FILES}/{self._bucket}/")
        if ours:
            return key
        return path if (url.hostname or "").startswith(f"{self._bucket.lower()}.") else None

    def resolve(self, task: Task | None, value: str) -> Any:
        """Return the file, or a stand-in for an address that the real service would fetch; None if it is missing."""
        value = value.removesuffix(" [input]").strip()
        if value.startswith("data:") and task is not None:
            return self._inline(value, task)
        # An address is never a name; to find that out would mean to name the results of every task.
        found = None if "://" in value else self._service().files.input(value)
        if found is not None:
            return found
        if self._assumed:
            return True
        key = self.locate(value)
        if key is not None:
            return self._service().files.find(key=key)
        try:
            url = urlsplit(value)
        except ValueError:
            return None
        if url.scheme not in ("http", "https"):
            return None
        return True if self._outside is not None and self._outside.search(url.hostname or "") else None

    def _inline(self, value: str, task: Task) -> File | None:
        """Return the file that a data URI holds; None where it cannot be read."""
        head, comma, body = value.removeprefix("data:").partition(",")
        media, *parameters = head.split(";")
        try:
            content = base64.b64decode(body, validate=True) if "base64" in parameters else unquote_to_bytes(body)
        except ValueError:
            return None
        if not comma or not content:
            return None
        file = File(task.runs, root="input", created=task.created)
        file.content, file.media = content, media or "text/plain"
        return file


class _Names:
    """The input files of a service, by what graphs call them."""

    def __init__(self, inputs: _Inputs) -> None:
        self._inputs = inputs

    def __contains__(self, name: object) -> bool:
        # What a data URI holds is looked at when the task runs.
        return isinstance(name, str) and (name.startswith("data:") or self._inputs.resolve(None, name) is not None)


class _Shown:
    """The node catalogue as `/object_info` shows it: classes that list input files list those of the service."""

    def __init__(self, catalogue: Catalogue, service: Callable[[], Service]) -> None:
        self._catalogue, self._service = catalogue, service
        self._whole: tuple[Any, Prepared] | None = None

    def classes(self, name: str | None) -> Mapping[str, Any]:
        """See `Setup.catalogue`."""
        if name is not None:
            if name not in self._catalogue:
                return {}
            return {name: self._catalogue.shown(name, self._files)}
        uploads = self._service().files.shelf
        state = (uploads.made, len(uploads))
        if self._whole is None or self._whole[0] != state:
            shown = {name: self._catalogue.shown(name, self._files) for name in self._catalogue}
            self._whole = (state, Prepared(shown))
        return self._whole[1]

    def _files(self, kinds: Sequence[str]) -> list[str]:
        """Return the names in the input folder whose media type is of one of *kinds*, sorted."""
        uploads = [file for file in self._service().files.shelf if file.root == "input" and not file.folder]
        return sorted(file.name for file in uploads if file.media.partition("/")[0] in kinds)


MOST_KEPT = 64 * 1024 * 1024
"""Bytes of the requests that kept results hold."""


def _weight(files: Sequence[File]) -> int:
    """Return the bytes of the request that is held for *files*, the results of one node."""
    return files[0].task.size if files and files[0].task is not None else 0


class _Kept:
    """What runs have left of a service's nodes, by line and signature.

    Args:
        most: of more nodes than these the least used go; `latest` for those alone that the latest graph has, too.

    What a node left holds the request of its run, so that the least used go also when these take more than `MOST_KEPT`.
    """

    def __init__(self, catalogue: Catalogue, inputs: _Inputs, most: int | Literal["latest"]) -> None:
        self._catalogue, self._inputs, self._most = catalogue, inputs, most
        self._known: dict[str, OrderedDict[str, tuple[File, ...]]] = {}
        self._bytes = 0

    def recall(self, task: Task) -> Work | None:
        """See `Setup.recall`."""
        known = self._known.get(task.line_id)
        graph = task.graph
        if not known or not isinstance(graph, Mapping):
            return None
        signatures = self._signatures(task, graph)
        if self._most == "latest":
            wanted = set(signatures.values())
            for signature in [one for one in known if one not in wanted]:
                self._bytes -= _weight(known.pop(signature))
        cached = frozenset(node.id for node in task.plan.nodes if signatures[node.id] in known)
        if not cached:
            return None
        for node in cached:
            known.move_to_end(signatures[node])
        plan = plans.make_plan(graph, self._catalogue, targets=task.targets, cached=cached, sizes=self._sizes(task))
        kept = {node: known[signatures[node]] for node in cached if known[signatures[node]]}
        return Work(plan, cached=cached, kept=kept)

    def remember(self, task: Task) -> None:
        """See `Setup.remember`."""
        graph = task.graph
        if not isinstance(graph, Mapping) or task.finished is None:
            return
        known = self._known.setdefault(task.line_id, OrderedDict())
        signatures = self._signatures(task, graph)
        for index, node in enumerate(task.plan.nodes[: task.standing(task.finished).ended]):
            if node.pushes:
                continue  # it depends on the time, so that it always runs
            # Where files are numbered as ComfyUI does, a node that need not run again writes no new ones.
            counted = any(output.extension and task.runs.results.counts(output.root) for output in node.outputs)
            files = tuple(task.runs.results.files_at(task, index)) if counted else ()
            self._bytes += _weight(files) - _weight(known.pop(signatures[node.id], ()))
            known[signatures[node.id]] = files
        most = len(known) if self._most == "latest" else self._most
        while len(known) > most or (self._bytes > MOST_KEPT and len(known) > 1):
            self._bytes -= _weight(known.popitem(last=False)[1])

    def forget(self, line: str) -> None:
        """See `Setup.forget`."""
        self._bytes -= sum(map(_weight, self._known.pop(line, {}).values()))

    def _sizes(self, task: Task) -> dict[str, tuple[int, int]]:
        graph = task.graph
        return self._inputs.sizes(plans.image_inputs(task.plan, graph))  # type: ignore[arg-type]  # plans here are of `world.plan`

    def _signatures(self, task: Task, graph: Mapping[str, Any]) -> dict[str, str]:
        prints = {}
        for _, value in plans.image_inputs(task.plan, graph):  # type: ignore[arg-type]  # plans here are of `world.plan`
            file = self._inputs.resolve(task, value)
            if isinstance(file, File) and file.content is not None:
                prints[value] = hashlib.blake2b(file.content, digest_size=16).hexdigest()
        return signatures(graph, fingerprints=prints)


def document_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry of the accounts file says of its account: `account#/...`."""
    return {name: value for name, value in entry.items() if name not in ("key", "secret", "id")}


def facts_of(finding: Finding) -> dict[str, Any]:
    """Return a finding about overrides as facts for the texts of errors.json."""
    name = finding.facts.get("input_name")
    value = finding.facts.get("received_value")
    text = finding.name.replace("-", " ") + (f": node {finding.node}" if finding.node is not None else "")
    text += f", input {name}" if name else ""
    if "received_value" in finding.facts:
        text += f", got {value!r}"
    if "limit" in finding.facts:
        text += f", limit {finding.facts['limit']!r}"
    return {"override.node": finding.node, "override.input": name, "override.text": text}


def _outlook(hosting: Hosting, provider: Provider) -> Callable[[Task], Outlook] | None:
    late = _fails_late(provider)
    if "override-invalid" not in provider.failures and not late:
        return None

    def outlook(task: Task) -> Outlook:
        if late and task.overrides is None and task.inputs is None:
            problem = hosting.problem_of(provider, task.graph, task.targets)
            return FINE if problem is None else Outlook(fault=Fault("workflow-invalid", problem, share=0.0))
        used = task.things.get("workflow")
        if used is None or not (task.overrides or task.inputs):
            return FINE
        workflow = hosting.workflow(used.id, provider)
        overrides, findings = task.overrides or {}, tuple[Finding, ...]()
        if isinstance(task.inputs, Mapping):
            overrides, findings = workflow.named(task.inputs)
        findings += workflow.apply(overrides)[1]
        if not findings:
            return FINE
        facts = facts_of(findings[0])
        return Outlook(fault=Fault("override-invalid", facts, findings[0].node))

    return outlook


def _pace(provider: Provider) -> Callable[[Any, Chance], float]:
    """Return what draws how long a plan takes: as usual, times the `pace` of the machine's tasks."""
    pace = float(provider.machine.kinds["task"].options.get("pace", 1))
    return lambda plan, chance: pace * plans.duration(plan, chance)


def _assumes_files(provider: Provider) -> bool:
    """Whether files that a graph names reach the service by a way that is not emulated, and count as being there."""
    kind = provider.machine.kinds.get("file")
    return kind is not None and kind.options.get("inputs") == "assumed"


def _fails_late(provider: Provider) -> bool:
    """Whether a whole graph that ComfyUI would not run fails its task, rather than being refused or let pass."""
    return any(operation.verb.options.get("check") == "run" for operation in provider.operations)


def _labels(hosting: Hosting, provider: Provider) -> Callable[[Task, str], str | None]:
    def label(task: Task, node: str) -> str | None:
        used = task.things.get("workflow")
        if used is None:
            return None
        workflow = hosting.workflow(used.id, provider)
        return next(iter(workflow.labels(node)), "") if workflow.publication.outputs else None

    return label


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {
        node: {"inputs": dict(entry.get("inputs", {}))} for node, entry in one.items() if isinstance(entry, Mapping)
    }
    for node, entry in other.items():
        merged.setdefault(node, {"inputs": {}})["inputs"].update(entry["inputs"])
    return merged
