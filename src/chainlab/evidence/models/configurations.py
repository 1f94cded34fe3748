"""Configurations beside a model: keys that make a loader run code, and chat templates.

    >>> findings(b'{"text_config": {"auto_map": {"AutoModel": "loader.Model"}}}', "config.json")[0].kind
    'remote-code'

Such a key counts at any depth, because loaders read a part of a configuration as they read the whole.
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

# transformers and diffusers (a Python file of the model), Hydra (any function by its name)
REMOTE = ("auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code", "_target_")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_SIZE = {".json": 2**26, ".yaml": 2**21, ".yml": 2**21, ".toml": 2**21}  # bytes; a JSON vocabulary has 2**25
OFF = ("", "~", "null", "false", "no", "off")  # as YAML writes it
PYTHON_TAG = "tag:yaml.org,2002:python/"
TEMPLATE = ("chat_template", "template")
# What a template needs to leave its sandbox: Python's special names, or a way to build them from parts
REACHES_OUT = re.compile(
    r"__|\|\s*attr\b|\bcycler\b|\blipsum\b|\bself\.|['\"]_['\"]\s*[~+*]|[~+*]\s*['\"]_['\"]|(?:\[|(?<![=!])=)\s*['\"]_['\"]|%c"
    r"|\\(?:x5f|u005f|U0000005f|137|N\{)",
    re.IGNORECASE,
)

Setting = tuple[str, Any]


def findings(data: bytes, where: str) -> list[Finding]:
    """Report keys that run code, and chat templates. Raises `MalformedInput` for a file that cannot be read."""
    suffix = PurePosixPath(where.lower()).suffix
    if len(data) > MAX_SIZE.get(suffix, len(data)):
        raise MalformedInput(f"it has more than {MAX_SIZE[suffix]} bytes")
    text = data.decode("utf-8-sig")
    if suffix in (".jinja", ".jinja2"):
        return templates([text], where)
    parse = {".json": _json, ".yaml": _yaml, ".yml": _yaml, ".toml": _toml}.get(suffix)
    try:
        settings = list(parse(text)) if parse else []
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise MalformedInput(f"it cannot be read as {suffix[1:].upper()}: {error}") from error
    keys = sorted({key for key, value in settings if key in REMOTE and _is_on(value)})
    remote = []
    if keys:
        message = f"{', '.join(keys)}: names code that a loader imports and runs"
        remote.append(Finding("remote-code", "high", where, message, "use a class of the library"))
    return remote + templates([value for key, value in settings if key in TEMPLATE and isinstance(value, str)], where)


def templates(texts: Iterable[str], where: str) -> list[Finding]:
    """Report a file's chat templates: they are Jinja programs, and some reach out of their sandbox."""
    reported = set()
    for text in texts:
        if reach := REACHES_OUT.search(text):
            message = f"its chat template reaches for {reach[0]!r}: a Jinja program that leaves its sandbox"
            reported.add(Finding("template", "high", where, message, "render it in a sandbox, or replace it"))
        else:
            message = "it has a chat template: a Jinja program that the runtime renders"
            reported.add(Finding("template", "info", where, message))
    return sorted(reported)


def _is_on(value: Any) -> bool:
    """Whether a setting is on. A number other than 1 is a word's position in a vocabulary."""
    return value == 1 if isinstance(value, int | float) else bool(value)


def _json(text: str) -> list[Setting]:
    """List every key with its value, at any depth; both of two keys with one name."""
    settings: list[Setting] = []

    def collect(pairs: list[Setting]) -> dict[str, Any]:
        settings.extend(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=collect)
    return settings


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
    """List every key with its value, at any depth. A tag that makes a Python object counts as a key."""
    texts: dict[str, str] = {}  # by anchor
    waiting: list[str | bool | None] = []  # a mapping's key whose value comes next; False: a sequence
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            waiting.pop()
        elif isinstance(event, yaml.NodeEvent):
            if str(getattr(event, "tag", "")).startswith(PYTHON_TAG):
                yield "_target_", True
            key, value = _node(event, texts)
            if waiting and waiting[-1] is None:
                waiting[-1] = key
            elif waiting and waiting[-1] is not False:
                yield str(waiting[-1]), value
                waiting[-1] = None
            if isinstance(event, yaml.CollectionStartEvent):
                waiting.append(None if isinstance(event, yaml.MappingStartEvent) else False)


def _node(event: yaml.NodeEvent, texts: dict[str, str]) -> tuple[str, Any]:
    """Read a node as a key and as a value: a scalar's text, empty for a value that means no."""
    if isinstance(event, yaml.AliasEvent):
        return texts.get(event.anchor or "", "?"), True
    if not isinstance(event, yaml.ScalarEvent):
        return "?", True
    if event.anchor:
        texts[event.anchor] = event.value
    return event.value, "" if event.implicit[0] and event.value.lower() in OFF else event.value
