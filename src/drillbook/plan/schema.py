"""Generates the JSON Schema of drills, inventories and trees from models and actions. Editors use the schema to complete
and check files.

An editor does not evaluate tags and expressions. Therefore the schema accepts a text with an expression or a tag wherever
one is allowed. Drillbook itself checks the evaluated values completely.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from drillbook.diagnosis.tree import Head as TreeHead
from drillbook.diagnosis.tree import Words as CheckWords
from drillbook.diagnosis.trees import NAMES
from drillbook.inventory.inventory import Inventory
from drillbook.inventory.kinds import SourceOfItsKind
from drillbook.plan.keywords import ConditionWords, Keywords
from drillbook.plan.spec import PHASES, Head, Suite
from drillbook.sdk.action import Action, Place, Read, find, known_names
from drillbook.sdk.discovery import service_kinds
from drillbook.sdk.probe import Probe

KINDS = ("drill", "inventory", "tree")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
EXPRESSION: Schema = {
    "type": "string",
    "pattern": r"\{\{[\s\S]*\}\}",
    "description": "An expression, such as {{ services.api.url }}.",
}
LAB_VALUE: Schema = {
    "type": "string",
    "pattern": r"^[a-z0-9_]+(\.[a-z0-9_-]+)+$",
    "description": "After the tag !lab: the name of a value that the lab provides.",
}
SECRET: Schema = {
    "description": "Source of a secret: !env NAME, !file PATH, or !command [program, argument]. Never the secret itself.",
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}


def text(kind: str) -> str:
    """Return the JSON Schema of ``kind`` as the text of a file. ``kind``: drill, inventory or tree."""
    make = {"drill": drill, "inventory": inventory, "tree": tree}[kind]
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


def drill() -> Schema:
    """Return the schema of a drill or a suite."""
    parts: Schema = {}
    step, probe = _uses(parts, Action), _uses(parts, Probe)
    keywords = _model(parts, Keywords)
    step["properties"] |= keywords["properties"]
    parts["step"] = step
    parts["parallel"] = {
        "type": "object",
        "description": "Steps that run in parallel.",
        "required": ["parallel"],
        "properties": {"parallel": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}}},
        "additionalProperties": False,
    }
    parts["probe"] = probe
    head = _model(parts, Head)
    head["properties"]["probes"] = {
        "type": ["array", "null"],
        "items": {"$ref": "#/$defs/probe"},
        "description": "Measurements that run during the whole drill.",
    }
    parts["Guard"]["properties"]["abort_if"]["items"] = _condition(parts, step, probe)
    head["properties"] |= {phase: _phase(phase) for phase in PHASES}
    head["anyOf"] = [{"required": [phase]} for phase in PHASES]
    parts["drill"], parts["suite"] = head, _model(parts, Suite)
    return {
        "$schema": DIALECT,
        "title": "A drill or a suite of Drillbook",
        "type": "object",
        "if": {"required": ["suite"], "not": {"required": ["drill"]}},
        "then": {"$ref": "#/$defs/suite"},
        "else": {"$ref": "#/$defs/drill"},
        "$defs": parts,
    }


def _phase(phase: str) -> Schema:
    """Return the schema of a phase. A phase is a list of steps, and of groups of steps that run in parallel."""
    steps = {
        "if": {"type": "object", "required": ["parallel"]},
        "then": {"$ref": "#/$defs/parallel"},
        "else": {"$ref": "#/$defs/step"},
    }
    return {"type": ["array", "null"], "items": steps, "description": f"Steps of the phase {phase}."}


def _condition(parts: Schema, step: Schema, probe: Schema) -> Schema:
    """Return the schema of an entry of ``abort_if``. Such an entry has exactly one action or availability probe. It
    may also have the keys of ``ConditionWords``.
    """
    names = {name: what for name, what in step["properties"].items() if "." in name}
    names |= {name: what for name, what in probe["properties"].items() if find(name, Probe).KIND == "availability"}
    return _one_of(names, _model(parts, ConditionWords)["properties"])


def _one_of(names: Schema, words: Schema) -> Schema:
    """Return the schema of an object that has exactly one of the keys in ``names``. The keys in ``words`` are optional."""
    return {
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in names],
        "properties": names | words,
    }


def tree() -> Schema:
    """Return the schema of a diagnosis tree."""
    parts: Schema = {}
    parts["step"] = _uses(parts, Action, hosts=False)
    reads = {name: what for name, what in parts["step"]["properties"].items() if issubclass(find(name), Read)}
    words = _model(parts, CheckWords)["properties"]
    kind: Schema = {"enum": list(service_kinds())}
    words["needs"]["items"] = kind
    parts["check"] = _one_of(reads, words)
    head = _model(parts, TreeHead)
    head["properties"]["kind"] |= {"anyOf": [kind, {"type": "array", "items": kind}]}
    head["properties"]["checks"] = {
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/check"},
        "propertyNames": {"pattern": r"^[^\W\d]\w*$", "not": {"enum": [*NAMES, "peer"]}},
        "description": "Checks by name. Each check is a read-only action, and can use the facts of the checks above it.",
    }
    head["properties"]["causes"]["additionalProperties"] = False
    step = parts["Remedy"]["properties"]["step"]
    step["anyOf"] = [{"$ref": "#/$defs/step"}, {"type": "null"}]
    return {"$schema": DIALECT, **head, "title": "A diagnosis tree of Drillbook", "$defs": parts}


def _uses(parts: Schema, kind: type[Any], *, hosts: bool = True) -> Schema:
    """Return the schema of an object with one action or probe and its parameters.

    If the action runs on hosts, the object also needs the key ``hosts``.
    """
    properties: Schema = {}
    choices: list[Schema] = []
    for name in known_names(kind):
        cls: type[Any] = find(name, kind)
        parts[name] = _expressive(_model(parts, cls), parts, top=True)
        needs_nothing = not parts[name].get("required")
        about = (cls.__doc__ or "").strip().splitlines()[0]
        own = {"$ref": f"#/$defs/{name}"}
        properties[name] = {"description": about, **({"anyOf": [own, {"type": "null"}]} if needs_nothing else own)}
        needs_hosts = hosts and kind is Action and cls.PLACE is Place.HOSTS
        choices.append({"required": [name, "hosts"] if needs_hosts else [name]})
    return {"type": "object", "properties": properties, "additionalProperties": False, "oneOf": choices}


def _model(parts: Schema, model: type[BaseModel]) -> Schema:
    """Return the schema of one model. If the model refers to other models, their schemas are added to ``parts``."""
    made = model.model_json_schema(by_alias=True)
    for name, inner in made.pop("$defs", {}).items():
        parts[name] = SECRET if name == "Secret" else inner
    return made


def _expressive(schema: Schema, parts: Schema, *, top: bool = False) -> Schema:
    """Extend ``schema`` so that it also accepts an expression wherever it accepts a value."""
    if "$ref" in schema:
        inner = parts.get(str(schema["$ref"]).rpartition("/")[2], {})
        return {**{key: value for key, value in schema.items() if key != "$ref"}, **_expressive(deepcopy(inner), parts)}
    made = dict(schema)
    for key in ("properties",):
        if key in made:
            made[key] = {name: _expressive(value, parts) for name, value in made[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = _expressive(made[key], parts)
    if top or (made.get("type") == "string" and not set(made) & {"pattern", "enum", "const", "format", "minLength"}):
        return made
    about: Schema = {key: made.pop(key) for key in ("description", "default", "title") if key in made}
    return {**about, "anyOf": [made, EXPRESSION]}


def inventory() -> Schema:
    """Return the schema of an inventory."""
    parts: Schema = {}
    made = _model(parts, Inventory)
    for part in parts.values():
        if part is not SECRET:
            part.get("properties", {}).pop("name", None)
            part["properties"] = {key: _taggable(value) for key, value in part.get("properties", {}).items()}
    for source in SourceOfItsKind.models():
        parts[source.__name__]["required"].remove("host")  # by default the host of the service that it backs up
    for part in parts.values():
        if "sandbox" in part.get("properties", {}) and "data_directory" in part.get("required", ()):
            part["required"].remove("data_directory")  # a sandbox has its own data directory
    hosts = made["properties"]["hosts"]
    hosts["additionalProperties"] = {"anyOf": [hosts["additionalProperties"], {"type": "null"}]}
    return {"$schema": DIALECT, "title": "An inventory of Drillbook", **made, "$defs": parts}


def _taggable(schema: Schema) -> Schema:
    """Return a schema that also accepts a tag such as `!lab`. Only a schema that accepts an integer, or a text that must match
    a pattern, is changed in this way. Any other schema is returned unchanged.
    """
    if "items" in schema:
        return {**schema, "items": _taggable(schema["items"])}
    kinds = schema.get("anyOf", [schema])
    if not any(kind.get("type") == "integer" or "pattern" in kind for kind in kinds):
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], LAB_VALUE]}
    about: Schema = {key: schema[key] for key in ("description", "default", "title") if key in schema}
    return {**about, "anyOf": [{key: value for key, value in schema.items() if key not in about}, LAB_VALUE]}
