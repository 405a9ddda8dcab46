"""What a graph does when it runs: its nodes in order, their steps, their share of the time, the files they write.

A `Plan` is frozen and holds nothing of what only one task has (prompt text, seeds): it says *where* in the graph these
stand. So all tasks of a workflow share one plan as long as they change no literal the plan was made from (`reads`).
Knows ComfyUI, no provider and no clock: moments are shares 0..1 of the run's time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from mockserver.world.catalogue import Catalogue
from mockserver.world.classes import (
    CONDITIONS,
    DATA_TEXT,
    FORMATS,
    IMAGE_LOADERS,
    JOINING,
    LINKED,
    OUTPUTS,
    PICTURES,
    PNG,
    PRIMITIVES,
    PUSHING,
    SIZED,
    TEXTS,
    OutputSpec,
    Place,
    Writes,
    usual_seconds,
)
from mockserver.world.graphcheck import Graph, is_link, title_of, unwrapped
from mockserver.world.order import inputs_of, run_order, sources_of

if TYPE_CHECKING:
    from mockserver.provider.scope import Chance

Size = tuple[int, int]

# What ComfyUI's empty latents default to; used where no link tells the size.
UNKNOWN_SIZE = (512, 512)


class PlannedNode(NamedTuple):
    """One node that runs. `start` and `end` are shares of the run's time."""

    id: str
    class_type: str
    title: str
    steps: int
    start: float
    end: float
    outputs: tuple[OutputSpec, ...] = ()
    before: int = 0
    """Steps of all nodes that run before it."""
    cost: float = 0.0
    """Seconds it usually takes."""
    sampler: bool = False
    """Reports each step, and previews where asked."""
    pushes: int = 0
    """So many pictures it sends to the client as they are, instead of writing files."""
    hidden: tuple[tuple[str, str], ...] = ()
    """What ComfyUI gives it besides the graph's inputs: name and what of (`PROMPT`, `EXTRA_PNGINFO`, ...)."""
    wrong: str | None = None
    """Input that has a literal where only a link will do; ComfyUI finds out when the node runs."""
    stuck: bool = False
    """It waits for itself: the run ends here. Source: `ExecutionList.stage_node_execution`."""
    size: Size = (0, 0)
    """Pixels of the pictures it works on; 0 where it is neither sampler nor sends any."""


@dataclass(frozen=True)
class Plan:
    """A run, node by node, in ComfyUI's order."""

    nodes: tuple[PlannedNode, ...]
    total_steps: int
    prompt: tuple[Place | None, Place | None] = (None, None)
    """Where the positive and the negative prompt text stand."""
    seeds: tuple[Place, ...] = ()
    images: tuple[Place, ...] = ()
    """Where files of the input folder are named (`LoadImage.image`, ...)."""
    reads: frozenset[Place] = frozenset()
    """The literals this plan was made from; another value of any other literal gives the same plan."""
    _ends: tuple[float, ...] = field(default=(), repr=False)

    @cached_property
    def writers(self) -> tuple[int, ...]:
        """The indexes of the nodes that write files."""
        return tuple(index for index, node in enumerate(self.nodes) if any(output.extension for output in node.outputs))

    @cached_property
    def wrong(self) -> tuple[int, ...]:
        """The indexes of the nodes that have a literal where only a link will do."""
        return tuple(index for index, node in enumerate(self.nodes) if node.wrong is not None)

    @cached_property
    def cost(self) -> float:
        """Seconds the run usually takes."""
        return sum(node.cost for node in self.nodes)

    def share(self, index: int, step: int) -> float:
        """Return when node *index* has finished *step* of its steps; step 0 is its start."""
        node = self.nodes[index]
        if step >= node.steps:
            return node.end
        return node.start + (node.end - node.start) * (step / node.steps)

    def position(self, share: float) -> tuple[int, int]:
        """Return which node runs at *share* and how many of its steps are finished.

        From 1 on: the last node with all its steps. Without nodes: (0, 0). Exact against `share`: at `share(i, k)`
        node i has finished k steps.
        """
        if not self.nodes:
            return 0, 0
        index = bisect_right(self._ends, share)
        if share >= 1 or index >= len(self.nodes):
            return len(self.nodes) - 1, self.nodes[-1].steps
        node = self.nodes[index]
        span = node.end - node.start
        step = min(node.steps - 1, max(0, int((share - node.start) / span * node.steps))) if span > 0 else 0
        # Division may round across a boundary: `share` decides.
        while step + 1 < node.steps and self.share(index, step + 1) <= share:
            step += 1
        while step > 0 and self.share(index, step) > share:
            step -= 1
        return index, step

    def progress(self, share: float) -> float:
        """Return finished steps by all steps, 0..1; 1 only at the end."""
        if share >= 1:
            return 1.0
        if not self.nodes:
            return 0.0
        return self.done(*self.position(share))

    def done(self, ended: int, step: int) -> float:
        """Return finished steps by all steps when so many nodes have *ended*, and *step* steps of the next."""
        if ended >= len(self.nodes):
            return 1.0 if self.nodes else 0.0
        return (self.nodes[ended].before + step) / self.total_steps

    def cached(self, signatures: Mapping[str, str], known: Container[str]) -> frozenset[str]:
        """Return the nodes whose signature is *known*: a run may skip them."""
        return frozenset(node.id for node in self.nodes if signatures[node.id] in known)


def make_plan(
    graph: Graph,
    catalogue: Catalogue,
    *,
    targets: Collection[str] | None = None,
    cached: Collection[str] = (),
    sizes: Mapping[str, Size] | None = None,
) -> Plan:
    """Plan a run of *graph*.

    Args:
        graph: API format. Classes the catalogue does not know are planned by what their name says; links that lead
            nowhere or round in a circle are passed over, since a checked graph has none.
        targets: output nodes to run; None for all.
        cached: nodes whose results are kept: they come first and take no time, and what only they need is left out.
        sizes: pixels of the input files, by the name the graph gives; others count as 512 x 512.

    Source: order as ComfyUI's `comfy_execution/graph.py`. Lazy inputs count as needed, which a real switch node may
        avoid. Costs and shares are ours.
    """
    return _Planner(graph, catalogue, sizes or {}).plan(targets, frozenset(cached))


def duration(plan: Plan, chance: Chance) -> float:
    """Draw how long a run takes, in virtual seconds, by its nodes, steps and pixels.

    Source: 54 real runs of hosted workflows took 13 to 93 s, median 34 s. The costs are set so that usual text-to-image
    work (10 to 30 steps, 512 to 1024 pixels) falls in there; a graph without a sampler takes a second or less.
    """
    # Two draws: most runs lie near the middle, as real ones do.
    return max(_SHORTEST_RUN, plan.cost * (chance.uniform(0.82, 1.2) + chance.uniform(0.0, 0.3)))


def literal(graph: Graph, place: Place | None) -> Any:
    """Return the literal that stands at *place*, None if none does."""
    if place is None:
        return None
    return unwrapped(inputs_of(graph, place[0]).get(place[1]))


def prompt_texts(plan: Plan, graph: Graph) -> tuple[str, str]:
    """Return the positive and the negative prompt of *graph*; empty where it has none."""
    positive, negative = (literal(graph, place) for place in plan.prompt)
    return str(positive or ""), str(negative or "")


def image_inputs(plan: Plan, graph: Graph) -> tuple[tuple[str, str], ...]:
    """Return which input files *graph* names: node id and the value given there."""
    return tuple((place[0], str(literal(graph, place))) for place in plan.images)


def fresh_seeds(plan: Plan, chance: Chance) -> dict[str, Any]:
    """Return overrides that give every seed of the plan a new value."""
    overrides: dict[str, Any] = {}
    for node, name in plan.seeds:
        overrides.setdefault(node, {"inputs": {}})["inputs"][name] = chance.below(_SEEDS)
    return overrides


# A real run of nothing but cached nodes takes a few milliseconds.
_SHORTEST_RUN = 0.005

_SEEDS = 2**53
"""New seeds stay below this, so that clients that read numbers as doubles see them exactly."""

# What ComfyUI's own declarations allow; a graph of unchecked values must not plan more.
_MOST_STEPS, _MOST_PIXELS, _MOST_IMAGES = 10_000, 16_384, 4_096

_SEED_INPUTS = ("seed", "noise_seed")


class _Planner:
    """Makes one plan; notes every literal it looks at."""

    def __init__(self, graph: Graph, catalogue: Catalogue, sizes: Mapping[str, Size]) -> None:
        self.graph, self.catalogue, self.sizes = graph, catalogue, sizes
        self.reads: set[Place] = set()
        self.shapes: dict[str, tuple[Size, int] | None] = {}
        self.inputs = {each: inputs_of(graph, each) for each in graph}
        self.sources = {each: sources_of(graph, each) for each in graph}
        self.classes = {each: _class(node) for each, node in graph.items()}

    def plan(self, targets: Collection[str] | None, cached: frozenset[str]) -> Plan:
        used = {source for sources in self.sources.values() for source in sources}
        outputs = {each: None for each in self.graph if self._is_output(each, used)}
        starts = [each for each in outputs if targets is None or each in targets]
        order = [each for each in run_order(self.graph, starts, outputs, cached, self.sources) if each not in cached]
        if cached:
            order[:0] = [each for each in run_order(self.graph, starts, outputs, (), self.sources) if each in cached]
        # Nodes in a cycle are never ready. ComfyUI blames the first that waits, which is the output.
        reached = set(order)
        stuck = next((each for each in starts if each not in reached), None)
        order += [] if stuck is None else [stuck]
        facts = [(each, self._steps(each), 0.0 if each in cached else self._cost(each)) for each in order]
        whole = math.fsum(cost for _, _, cost in facts) or 1.0
        nodes, before, spent = [], 0, 0.0
        for number, (each, steps, cost) in enumerate(facts, 1):
            start = spent / whole
            spent += cost
            end = 1.0 if number == len(facts) else min(1.0, spent / whole)
            nodes.append(
                PlannedNode(
                    each,
                    self.classes[each],
                    self._title(each),
                    steps,
                    start,
                    end,
                    self._outputs(each) if each in outputs else (),
                    before,
                    cost,
                    self._is_sampler(each),
                    self._pushes(each) if each in outputs else 0,
                    self.catalogue[self.classes[each]].hidden_inputs if self.classes[each] in self.catalogue else (),
                    self._wrong(each),
                    each == stuck,
                    self._pictures(each)[0] if self._is_sampler(each) or self.classes[each] in PUSHING else (0, 0),
                )
            )
            before += steps
        planned = tuple(nodes)
        return Plan(
            planned,
            before,
            self._prompt(order),
            tuple((each, name) for each in order for name in _SEED_INPUTS if self._has_literal(each, name)),
            tuple(
                (each, name)
                for each in order
                if (name := IMAGE_LOADERS.get(self.classes[each], "")) and self._has_literal(each, name)
            ),
            frozenset(self.reads),
            tuple(node.end for node in planned),
        )

    # classes

    def _title(self, each: str) -> str:
        title = title_of(self.graph[each]) if isinstance(self.graph[each], dict) else None
        if title is not None:
            return title
        name = self.classes[each]
        return self.catalogue[name].display_name if name in self.catalogue else name

    def _is_output(self, each: str, used: Container[str]) -> bool:
        name = self.classes[each]
        if name in self.catalogue:
            return self.catalogue[name].output_node
        if name in OUTPUTS:
            return True
        # A custom class we know nothing of: what nothing uses and is called "save" or "preview" writes files.
        return each not in used and any(word in name.lower() for word in ("save", "preview", "combine", "show"))

    def _is_sampler(self, each: str) -> bool:
        name = self.classes[each]
        inputs = self.inputs[each]
        return "Sampler" in name and ("latent_image" in inputs or "steps" in inputs)

    # literals

    def _has_literal(self, each: str, name: str) -> bool:
        inputs = self.inputs[each]
        return name in inputs and not is_link(inputs[name])

    def _value(self, each: str, name: str) -> Any:
        """Return a literal, through primitive nodes that hand one on; None if only the run would tell."""
        return literal(self.graph, self._place(each, name))

    def _place(self, each: str, name: str) -> Place | None:
        """Return where a literal stands, through primitive nodes that hand one on; None if only the run would tell."""
        seen = set()
        while each not in seen:
            seen.add(each)
            inputs = self.inputs[each]
            value = inputs.get(name)
            if not is_link(value):
                self.reads.add((each, name))
                return each, name
            if value[0] not in self.graph:
                return None
            each = value[0]
            names = [one for one in (*PRIMITIVES, name) if one in self.inputs[each]]
            if not names:
                return None
            name = names[0]
        return None

    def _number(self, each: str, name: str) -> float | None:
        value = self._value(each, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    def _integer(self, each: str, name: str, most: int) -> int | None:
        number = self._number(each, name)
        return None if number is None else int(min(number, most))

    def _source(self, each: str, name: str) -> str | None:
        value = self.inputs[each].get(name)
        return value[0] if is_link(value) and value[0] in self.graph else None

    # steps and costs

    def _steps(self, each: str) -> int:
        if not self._is_sampler(each):
            return max(1, self._pushes(each))
        steps = self._integer(each, "steps", _MOST_STEPS)
        if steps is None:
            scheduler = self._source(each, "sigmas")
            steps = self._integer(scheduler, "steps", _MOST_STEPS) if scheduler is not None else None
        if steps is None:
            return 1
        first = self._integer(each, "start_at_step", _MOST_STEPS) or 0
        last = self._integer(each, "end_at_step", _MOST_STEPS)
        return max(1, min(steps, steps if last is None else last) - max(0, first))

    def _cost(self, each: str) -> float:
        """Return the seconds a node usually takes; ours, set by `duration`'s source."""
        name = self.classes[each]
        if self._is_sampler(each):
            size, batch = self._shape(each) or (UNKNOWN_SIZE, 1)
            # An image of 1024 x 1024 pixels takes twice as long as one of 512 x 512.
            return 0.9 * self._steps(each) * math.sqrt(max(1, size[0] * size[1] * batch) / (512 * 512))
        return usual_seconds(name)

    def _wrong(self, each: str) -> str | None:
        name = self.classes[each]
        if name not in self.catalogue:
            return None
        values = self.inputs[each]
        for one in self.catalogue[name].inputs.values():
            if one.type in LINKED and one.name in values and not is_link(values[one.name]):
                return one.name
        return None

    # pictures

    def _pushes(self, each: str) -> int:
        return self._pictures(each)[1] if self.classes[each] in PUSHING else 0

    def _pictures(self, each: str) -> tuple[Size, int]:
        return self._shape(each) or (UNKNOWN_SIZE, 1)

    def _outputs(self, each: str) -> tuple[OutputSpec, ...]:
        name = self.classes[each]
        writes = OUTPUTS.get(name, (PNG,))
        if ("format" in self.inputs[each]) and name in ("SaveAudioAdvanced", "SaveImageAdvanced"):
            chosen = FORMATS.get((name, str(self._value(each, "format"))))
            writes = (chosen,) if chosen is not None else writes
        if not writes:
            return ()
        if name == "Preview3D" and self._has_literal(each, "model_file"):
            writes = (Writes("text", "result", shows="model_file"),)  # the name of a file that is there already
        size, batch = self._shape(each) or (UNKNOWN_SIZE, 1)
        return tuple(
            OutputSpec(
                one.kind,
                one.ui,
                batch if one.kind == "image" or one is DATA_TEXT else 1,
                one.media,
                one.extension,
                size[0] if one.kind in SIZED else 0,
                size[1] if one.kind in SIZED else 0,
                one.prefix if one.root == "temp" else self._prefix(each, one.prefix),
                one.root,
                one.name,
                self._value(each, "mode") == "increment" if one.name else False,
                self._place(each, one.shows) if one.shows else None,
            )
            for one in writes
        )

    def _prefix(self, each: str, default: str) -> str:
        folder = self._value(each, "folder_name")
        below = f"{folder}/" if isinstance(folder, str) and folder else ""
        for name in ("filename_prefix", "prefix"):
            value = self._value(each, name)
            if isinstance(value, str):
                return below + value
        return below + default

    def _shape(self, start: str) -> tuple[Size, int] | None:
        """Return size and batch of the pictures a node gives, following links; None if nothing tells."""
        if start in self.shapes:
            return self.shapes[start]
        path = [start]
        while path:
            each = path[-1]
            if each not in self.shapes:
                self.shapes[each] = None  # stands while the way leads round in a circle
                path.extend(source for source in self.sources[each] if source not in self.shapes)
            else:
                path.pop()
                self.shapes[each] = self._shape_of(each)
        return self.shapes[start]

    def _shape_of(self, each: str) -> tuple[Size, int] | None:
        name = self.classes[each]
        if name in IMAGE_LOADERS:
            file = self._value(each, IMAGE_LOADERS[name])
            return self.sizes.get(str(file), UNKNOWN_SIZE), 1
        size, batch = self._taken(each) or (None, None)
        size = self._own_size(each, size)
        if size is None:
            return None
        own = self._integer(each, "batch_size", _MOST_IMAGES)
        if own is not None and batch is None:
            batch = own
        amount = self._integer(each, "amount", _MOST_IMAGES)
        if name.startswith("Repeat") and amount is not None:
            batch = (batch or 1) * amount
        return size, min(max(1, batch or 1), _MOST_IMAGES)

    def _taken(self, each: str) -> tuple[Size, int] | None:
        inputs = self.inputs[each]
        links = [name for name in inputs if self._source(each, name) is not None]
        ranked = sorted(links, key=lambda name: PICTURES.index(name) if name in PICTURES else len(PICTURES))
        joined = self.classes[each] in JOINING
        found: tuple[Size, int] | None = None
        for name in ranked:
            shape = self.shapes.get(inputs[name][0])
            if shape is None:
                continue
            found = shape if found is None else (found[0], found[1] + shape[1])
            if not joined:
                return found
        return found

    def _own_size(self, each: str, taken: Size | None) -> Size | None:
        inputs = self.inputs[each]
        if "width" in inputs and "height" in inputs and not self._is_sampler(each):
            width, height = (self._integer(each, side, _MOST_PIXELS) for side in ("width", "height"))
            if width is not None and height is not None and (width > 0 or height > 0):
                across, down = taken or UNKNOWN_SIZE
                # 0 keeps the other side's proportion, as ImageScale does.
                return width if width > 0 else max(1, across * height // down), (
                    height if height > 0 else max(1, down * width // across)
                )
        if taken is None:
            return None
        factor = self._number(each, "scale_by") if "scale_by" in inputs else None
        if factor is None and "upscale_model" in inputs:
            factor = 4.0  # what most of these models do
        if "megapixels" in inputs and (millions := self._number(each, "megapixels")):
            factor = math.sqrt(max(millions, 0.01) * 1024 * 1024 / (taken[0] * taken[1]))
        if factor is None or factor <= 0:
            return taken
        return _pixels(taken[0] * factor), _pixels(taken[1] * factor)

    # prompts

    def _prompt(self, order: Sequence[str]) -> tuple[Place | None, Place | None]:
        for each in order:
            if self._is_sampler(each) or self._source(each, "positive") is not None:
                found = self._text(each, "positive"), self._text(each, "negative")
                if found != (None, None):
                    return found
        return None, None

    def _text(self, start: str, role: str) -> Place | None:
        """Follow the conditioning *role* of a sampler up to the text it was made from."""
        inputs = self.inputs[start]
        source = self._source(start, role)
        if source is None and "guider" in inputs:
            guider = self._source(start, "guider")
            if guider is None:
                return None
            source = self._source(guider, role)
            if source is None and role == "positive":
                source = self._source(guider, "conditioning") or self._source(guider, "cond1")
        stack = [] if source is None else [source]
        seen: set[str] = set()
        while stack:
            each = stack.pop()
            if each in seen:
                continue
            seen.add(each)
            values = self.inputs[each]
            for name in TEXTS:
                if name in values and isinstance(unwrapped(values[name]), str):
                    return each, name
            wanted = [role] if self._source(each, role) is not None else [*TEXTS, *_links_to_conditions(values)]
            stack.extend(one for name in reversed(wanted) if (one := self._source(each, name)) is not None)
        return None


def _class(node: Any) -> str:
    return str(node.get("class_type", "")) if isinstance(node, dict) else ""


def _pixels(side: float) -> int:
    return max(1, round(min(side, _MOST_PIXELS)))


def _links_to_conditions(values: Mapping[str, Any]) -> list[str]:
    return [name for name in values if name in CONDITIONS or name.startswith(("conditioning", "cond"))]
