"""The simple repository API, version 1.4: the pages that pip and uv read.

JSON (PEP 691, 700, 714, 740, 792) comes first: PEP 833 freezes the HTML form (PEP 503), which is still served to
clients that ask for it. Models and JSON are simple-repository's; it has no keys for provenance and project status,
which are added here, and its HTML does not escape the reason of a yank, so the HTML is written here.

    >>> negotiate("application/vnd.pypi.simple.v1+json, text/html;q=0.1")
    <Format.JSON_V1: 'application/vnd.pypi.simple.v1+json'>
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from simple_repository.content_negotiation import Format
from simple_repository.model import (
    File,
    Meta,
    PrivateMetadataMapping,
    ProjectDetail,
    ProjectList,
    ProjectListElement,
)
from simple_repository.serializer import SerializerJsonV1

from chainlab.characters import visible
from chainlab.errors import Refused
from chainlab.registry.index.models import IndexFile, IndexProject, versions

__all__ = ["API_VERSION", "Format", "negotiate", "page_of_project", "page_of_projects"]

API_VERSION = "1.4"
LATEST = {"json": Format.JSON_V1, "html": Format.HTML_V1}
PREFERENCE = (Format.JSON_V1, Format.HTML_V1, Format.HTML_LEGACY)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="pypi:repository-version" content="{version}">
{more}<title>{title}</title>
<link rel="stylesheet" href="/artifacts/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
{status}<ul class="links">
{links}</ul>
</main>
</body>
</html>
"""


def negotiate(accept: str | None, query: str | None = None) -> Format:
    """Choose the response's format: ``query`` (the parameter ``format``), else the header's best, else JSON.

    Raises `Refused` (406) when no format fits.
    """
    if query is not None:
        accept = query
    ranges: dict[str, float] = {}
    for part in (accept or "*/*").split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        if kind.startswith("application/vnd.pypi.simple.latest+"):
            kind = LATEST.get(kind.rpartition("+")[2], Format.JSON_V1).value
        ranges[kind] = quality if quality == quality else 0.0  # "nan" is a float too

    def quality_of(format: Format) -> float:
        group = format.value.partition("/")[0]
        for kind in (format.value, f"{group}/*", "*/*"):
            if kind in ranges:
                return ranges[kind]
        return 0.0

    best = max(PREFERENCE, key=quality_of)  # the first of equals
    if not quality_of(best):
        raise Refused(406, "the index serves " + ", ".join(format.value for format in PREFERENCE))
    return best


def page_of_projects(projects: Iterable[IndexProject], format: Format) -> str:
    """Render the list of projects (``/simple/``)."""
    names = [project.name for project in projects]
    if format is not Format.JSON_V1:
        links = [f'<li><a href="{name}/">{name}</a></li>\n' for name in names]
        return _html("Simple index", links)
    listed = frozenset(ProjectListElement(name) for name in names)
    document = json.loads(SerializerJsonV1().serialize_project_list(ProjectList(Meta(API_VERSION), listed)))
    document["projects"].sort(key=lambda element: element["name"])
    return json.dumps(document)


def page_of_project(project: IndexProject, files: Sequence[IndexFile], format: Format, base: str) -> str:
    """Render the files of a project (``/simple/NAME/``); ``base`` is the server's address, with a slash at its end."""
    if format is not Format.JSON_V1:
        more = _meta("pypi:project-status", project.status)
        more += _meta("pypi:project-status-reason", project.reason) if project.reason else ""
        reason = f" ({visible(project.reason)})" if project.reason else ""
        status = "" if project.offers else f"<p>Status: {escape(f'{project.status}{reason}')}</p>\n"
        return _html(f"Links for {project.name}", [_link(file, base) for file in files], more, status)
    detail = ProjectDetail(
        Meta(API_VERSION),
        project.name,
        tuple(_model(file) for file in files),
        versions=frozenset(versions(files)),
    )
    document = json.loads(SerializerJsonV1().serialize_project_page(detail))
    document["versions"] = versions(files)
    document["project-status"] = {"status": str(project.status)}
    if project.reason:
        document["project-status"]["reason"] = project.reason
    for entry, file in zip(document["files"], files, strict=True):
        if file.provenance is not None:  # PEP 740
            entry["provenance"] = _provenance(file, base)
    return json.dumps(document)


def _address(file: IndexFile) -> str:
    """The path of a file's bytes on this server."""
    return f"/files/{file.project}/{quote(file.filename)}"


def _model(file: IndexFile) -> File:
    private: dict[str, Any] = {}
    if file.scenario_time is not None:
        private["_scenario-time"] = file.scenario_time
    return File(
        file.filename,
        _address(file),
        {"sha256": file.digest.value.hex()},
        requires_python=file.requires_python,
        dist_info_metadata={"sha256": file.metadata.value.hex()} if file.metadata else None,
        yanked=None if file.yanked is None else file.yanked or True,
        size=file.size,
        upload_time=file.uploaded,
        private_metadata=PrivateMetadataMapping.from_any_mapping(private),
    )


def _link(file: IndexFile, base: str) -> str:
    attributes = {"href": f"{_address(file)}#sha256={file.digest.value.hex()}"}
    if file.requires_python:
        attributes["data-requires-python"] = file.requires_python
    if file.metadata:  # PEP 714: the old name stays out
        attributes["data-core-metadata"] = f"sha256={file.metadata.value.hex()}"
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    if file.provenance:
        attributes["data-provenance"] = _provenance(file, base)
    text = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<li><a {text}>{escape(file.filename)}</a></li>\n"


def _provenance(file: IndexFile, base: str) -> str:
    return f"{base}integrity/{file.project}/{quote(file.version)}/{quote(file.filename)}/provenance"


def _meta(name: str, content: str) -> str:
    return f'<meta name="{name}" content="{escape(content)}">\n'


def _html(title: str, links: Iterable[str], more: str = "", status: str = "") -> str:
    """A page; ``more`` and ``status`` are HTML."""
    return PAGE.format(version=API_VERSION, title=escape(title), links="".join(links), more=more, status=status)
