"""Configurations beside a model: keys that make a loader run code, and chat templates.

    >>> findings(b'{"text_config": {"auto_map": {"AutoModel": "loader.Model"}}}', "config.json")[0].kind
    'remote-code'

Such a key counts wherever it stands, for loaders read the parts of a configuration as they read the whole.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from chainlab.errors import MalformedInput
from chainlab.evidence.findings import Finding

__all__ = ["findings", "templates"]

# transformers and diffusers (a Python file of the model's), Hydra (any function by its name)
REMOTE = ("auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code", "_target_")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_SIZE = {".json": 2**26, ".yaml": 2**21, ".yml": 2**21, ".toml": 2**21}  # bytes; a vocabulary in JSON has 2**25
OFF = ("", "~", "null", "false", "no", "off")  # as YAML writes it
PYTHON_TAG = "tag:yaml.org,2002:python/"
TEMPLATE = ("chat_template", "template")
# What a template needs to leave its sandbox: names of Python's own, or a way to spell them in parts.
REACHES_OUT = re.compile(
    r"__|\|\s*attr\b|\bcycler\b|\blipsum\b|\bself\.|['\"]_['\"]\s*[~+*]|[~+*]\s*['\"]_['\"]|(?:\[|(?<![=!])=)\s*['\"]_['\"]|%c"
    r"|\\(?:x5f|u005f|U0000005f|137|N\{)",
    re.IGNORECASE,
)

Setting = tuple[str, Any]


def findings(data: bytes, where: str) -> list[Finding]:
    """Report keys that run code, and chat templates. Raises `MalformedInput` for what cannot be read."""
    suffix = PurePosixPath(where.lower()).suffix
    if len(data) > MAX_SIZE.get(suffix, len(data)):
        raise MalformedInput(f"it has more than {MAX_SIZE[suffix]} bytes")
    text = data.decode("utf-8-sig")
    if suffix in (".jinja", ".jinja2"):
        return templates([text], where)
    read = {".json": _json, ".yaml": _yaml, ".yml": _yaml, ".toml": _toml}.get(suffix)
    try:
        settings = list(read(text)) if read else []
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise MalformedInput(f"it is no {suffix[1:].upper()} that can be read: {error}") from error
    named = sorted({key for key, value in settings if key in REMOTE and _is_on(value)})
    found = []
    if named:
        said = f"{', '.join(named)}: names code that a loader imports and runs"
        found.append(Finding("remote-code", "high", where, said, "use a class of the library"))
    return found + templates([value for key, value in settings if key in TEMPLATE and isinstance(value, str)], where)


def templates(texts: Iterable[str], where: str) -> list[Finding]:
    """Report a file's chat templates: they are Jinja programs, and some reach out of their sandbox."""
    found = set()
    for text in texts:
        if reach := REACHES_OUT.search(text):
            said = f"its chat template reaches for {reach[0]!r}: a Jinja program that leaves its sandbox"
            found.add(Finding("template", "high", where, said, "render it in a sandbox, or replace it"))
        else:
            said = "it has a chat template: a Jinja program that the runtime renders"
            found.add(Finding("template", "info", where, said))
    return sorted(found)


def _is_on(value: Any) -> bool:
    """Tell whether a setting is on. A number other than 1 is a word's place in a vocabulary."""
    return value == 1 if isinstance(value, int | float) else bool(value)


def _json(text: str) -> list[Setting]:
    """List every key with its value, at any depth; of two keys with one name, both."""
    found: list[Setting] = []

    def collect(pairs: list[Setting]) -> dict[str, Any]:
        found.extend(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=collect)
    return found


def _toml(text: str) -> Iterator[Setting]:
    waiting: list[Any] = [tomllib.loads(text)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _yaml(text: str) -> Iterator[Setting]:
    """List every key with its value, at any depth. A tag that would make a Python object counts as a key."""
    texts: dict[str, str] = {}  # by anchor
    waiting: list[str | bool | None] = []  # for each mapping the key whose value comes next; False: a sequence
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            waiting.pop()
        elif isinstance(event, yaml.NodeEvent):
            if str(getattr(event, "tag", "")).startswith(PYTHON_TAG):
                yield "_target_", True
            said, value = _node(event, texts)
            if waiting and waiting[-1] is None:
                waiting[-1] = said
            elif waiting and waiting[-1] is not False:
                yield str(waiting[-1]), value
                waiting[-1] = None
            if isinstance(event, yaml.CollectionStartEvent):
                waiting.append(None if isinstance(event, yaml.MappingStartEvent) else False)


def _node(event: yaml.NodeEvent, texts: dict[str, str]) -> tuple[str, Any]:
    """Read a node as a key and as a value: a scalar's text, or an empty one where it means no."""
    if isinstance(event, yaml.AliasEvent):
        return texts.get(event.anchor or "", "?"), True
    if not isinstance(event, yaml.ScalarEvent):
        return "?", True
    if event.anchor:
        texts[event.anchor] = event.value
    return event.value, "" if event.implicit[0] and event.value.lower() in OFF else event.value
