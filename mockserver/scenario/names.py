"""Whether a scenario speaks of what there is: providers, operations, channels, errors, variants.

A list of names will do where one of them is known: one scenario may speak to several providers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mockserver.errors import nearest
from mockserver.provider.model import Provider
from mockserver.provider.vocabulary import VALUES
from mockserver.scenario import errors, patching
from mockserver.scenario.model import AnswerAction, PatchAction, Rule, Scenario, TaskAction
from mockserver.scenario.reading import ScenarioError

Families = Mapping[str, Sequence[Provider]]
"""Name of a served provider -> itself, and the store its files lie in."""


def check(scenario: Scenario, families: Families) -> None:
    """Refuse a scenario that names what none of the served providers has.

    Raises:
        ScenarioError: with pointer, name, and what is near.
    """
    for pointer, found, what, known in _unknown(scenario, families):
        hint = nearest(found, known) or f"; known: {', '.join(sorted(known)) or 'none'}"
        raise ScenarioError(scenario.name, pointer, f"{found!r} is no {what}{hint}")


def _unknown(scenario: Scenario, families: Families) -> Iterator[tuple[str, str, str, Collection[str]]]:
    for name, readings in scenario.setting.variants.items():
        pointer = f"/setting/variants/{name}"
        if name not in families:
            yield pointer, name, "provider served here", list(families)
            continue
        variants = families[name][0].variants
        for variant, reading in readings.items():
            if variant not in variants:
                yield f"{pointer}/{variant}", variant, f"variant of {name}", list(variants)
            elif reading not in variants[variant].readings:
                yield f"{pointer}/{variant}", reading, f"reading of {variant}", list(variants[variant].readings)
    for rule in scenario.rules:
        yield from _unknown_to(rule, families)


def _unknown_to(rule: Rule, families: Families) -> Iterator[tuple[str, str, str, Collection[str]]]:
    when = rule.when
    meant = [
        one for name, family in families.items() if when.providers is None or name in when.providers for one in family
    ]
    if not meant and when.providers is not None:
        yield f"{rule.pointer}/when/provider", sorted(when.providers)[0], "provider served here", list(families)
        return
    operations = {operation.id for provider in meant for operation in provider.operations}
    channels = {channel.name for provider in meant for channel in provider.channels}
    if when.operations is not None and not when.operations & operations:
        yield f"{rule.pointer}/when/operation", sorted(when.operations)[0], "operation", operations
    # Feeds of a kind no provider served here has are no mistake; a name that fits none of those there are is.
    if when.channels is not None and channels and not when.channels & channels:
        yield f"{rule.pointer}/when/channel", sorted(when.channels)[0], "channel", channels
    do = rule.do
    if isinstance(do, AnswerAction | TaskAction) and isinstance(do.error, str):
        refusals = {entry.name for provider in meant for entry in errors.refusals(provider)}
        failures = {name for provider in meant for name in (*errors.failure_names(provider), *provider.failures)}
        if rule.pointer == "/fail":
            known, what, other = refusals | failures, "error of any provider served here", False
        elif isinstance(do, AnswerAction):
            known, what, other = refusals, "refusal of the catalogue, nor a condition", do.error in failures
        else:
            known, what, other = failures, "failure of the catalogue", do.error in refusals
        answers = isinstance(do, AnswerAction) and any(errors.is_condition(do.error, provider) for provider in meant)
        if do.error not in known and not answers:
            kind = "task" if isinstance(do, TaskAction) else "answer"
            if other:
                what += f" (it {'answers calls' if kind == 'task' else 'ends tasks'})"
            yield f"{rule.pointer}/{kind}/error", do.error, what, known
    if isinstance(do, PatchAction):
        for word, names in (("set", tuple(do.set)), ("remove", do.remove)):
            for name in names:
                if not patching.is_place(name):
                    yield (
                        f"{rule.pointer}/patch/{word}",
                        name,
                        "JSON Pointer (begin with '/') or value name",
                        VALUES,
                    )
