"""Lock files: the versions and hashes that an installer will accept, and no others.

    >>> read(Path("requirements.lock")).components[0].hash_origin
    'lock'

A ``requirements.lock`` (pip's hash mode) lists the hashes of every file of a version, for all platforms, without their
names: a component's hash stands alone only where one file is listed, where ``pylock.toml`` names the file for this
platform, or where a folder of wheels has the one file that matches. Otherwise they are *accepted* hashes, and the
component says so.

pip's requirements file format; PEP 751 (pylock.toml); edges come from the ``# via`` remarks that uv and pip-compile
write, or from the metadata of the wheels at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence import lock_markers, metadata
from chainlab.evidence.components import PREFIX, BlindSpot, Component, Inventory, purl_of
from chainlab.evidence.graph import Graph, Node, roots, unreached
from chainlab.evidence.interpreters import described, markers_here
from chainlab.evidence.lockfiles import Lock, Locked, contents, load, parse
from chainlab.evidence.ranges import is_same_version

if TYPE_CHECKING:
    from chainlab.evidence.wheels import Wheel

__all__ = ["applying", "read", "with_hashes"]

MAX_MARKER = 4000  # characters
SCOPES = ("required", "optional", "excluded")  # the strongest first


def read(
    path: Path,
    *,
    subject: Component | None = None,
    wheels: Path | Sequence[Path] | None = None,
    markers: Mapping[str, str] | None = None,
    requires: Sequence[tuple[str, str]] | None = None,
) -> Inventory:
    """What a lock asks an installer to install, where ``markers`` (default: of this interpreter) say so.

    ``wheels`` are folders with the wheels: their licences, suppliers and needs are read there. ``requires`` is what the
    subject itself asks for, each as ``Requires-Dist`` writes it, with its scope; what is locked and nobody asks for
    gets the scope ``excluded``, where the graph is known.
    """
    data = contents(path)
    lock, values = parse(path.name, data), markers_here(markers)
    chosen, unread = applying(path.name, data, values)
    others = sorted({pin.name for pin in lock.pins} - {pin.name for pin in chosen})
    spots = [BlindSpot("not pinned", f"{lock.name}: {line[:80]}") for line in unread]
    if others:
        said = f"locked, and not for this one: {', '.join(others)}"
        spots.append(BlindSpot("other platform", said))
    at_hand = _wheels(wheels, {h for pin in chosen for h in pin.hashes})
    subject = subject or Component(path.parent.resolve().name, type="application")
    packages = {pin.key: w.package for pin in chosen for w in _of(pin, at_hand)}
    nodes = {pin.key: Node(_purl(pin), packages[pin.key].requires if pin.key in packages else ()) for pin in chosen}
    asked = Node(subject.ref, tuple(text for text, _ in requires or ()))
    graph = Graph({**nodes, subject.key: asked} if requires is not None else nodes, values)
    components, seen = _components(lock, chosen, at_hand, graph)
    spots += seen
    if requires is not None:
        needs = graph.needs(subject.key)
        subject = replace(subject, requires=needs.refs, complete=not needs.missing)
        spots += [BlindSpot("missing", f"{n} is asked for and not locked", subject.ref) for n in needs.missing]
        if lock.edges or len(packages) == len(chosen):
            components, more = _scoped(components, nodes, requires, values)
            spots += more
    elif direct := {_purl(pin) for pin in chosen if pin.direct}:
        subject = replace(subject, requires=tuple(sorted(direct)), complete=True)
    else:
        subject = replace(subject, requires=roots(components), complete=None)
    return Inventory(tuple(components), subject, "pre-build", tuple(sorted(set(spots))), described(values))


def applying(name: str, data: bytes, markers: Mapping[str, str] | None = None) -> tuple[list[Locked], list[str]]:
    """The pins of a lock that an installer takes where ``markers`` say so, and the lines that are no pin.

    ``data`` is the lock's bytes, ``name`` its file name. Raises `MalformedInput` for what is no lock.
    """
    lock, values = parse(name, data), markers_here(markers)
    return [pin for pin in lock.pins if _applies(pin, values)], [*lock.unread]


def with_hashes(
    components: Sequence[Component],
    *,
    lock: Path | None,
    wheels: Path | Sequence[Path] | None = None,
    tags: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Component]:
    """The components with the hashes of the wheels they were installed from, as far as lock and wheels tell.

    ``tags`` are each component's platform tags, by its ref: they choose among the files that a pylock names.
    """
    pins = load(lock).pins if lock is not None else ()
    by_key: dict[tuple[str, str], Locked] = {(str(p.key), p.version): p for p in pins}
    named = {p.key for p in pins}
    at_hand = {(str(canonicalize_name(w.package.name)), w.package.version): w for w in _wheels(wheels, None).values()}
    found = []
    for component in components:
        place: tuple[str, str] = (component.key, component.version)
        known = component.key in named
        pin = _pinned(by_key, place) if known else None
        if pin is not None and pin.hashes:
            found.append(_hashed(component, pin, (tags or {}).get(component.ref, ()), at_hand.get(place)))
        elif pin is None and component.key in named:
            versions = ", ".join(sorted(p.version for p in pins if p.key == component.key))
            note = (f"{PREFIX}differs-from-lock", f"the lock says {versions}")
            found.append(replace(component, properties=(*component.properties, note)))
        elif place in at_hand and lock is None:
            digest = at_hand[place].digest.value.hex()
            found.append(replace(component, hashes={"SHA-256": digest}, hash_origin="file"))
        else:
            found.append(component)
    return found


def _components(
    lock: Lock, chosen: Sequence[Locked], at_hand: Mapping[str, Wheel], graph: Graph
) -> tuple[list[Component], list[BlindSpot]]:
    packages = {pin.key: w for pin in chosen for w in _of(pin, at_hand)}
    via: dict[str, set[str]] = {}
    for pin in chosen:
        for name in pin.via or ():
            via.setdefault(name, set()).add(_purl(pin))
    supported = [str(tag) for tag in sys_tags()] if any(p.files for p in chosen) else []
    components, spots = [], []
    for pin in chosen:
        wheel = packages.get(pin.key)
        component = Component(
            pin.name,
            pin.version,
            _purl(pin),
            scope="required",
            requires=tuple(sorted(via.get(pin.key, ()))),
            complete=True if lock.edges else None,
            found_in=lock.name,
        )
        if wheel is not None:
            about, needs = wheel.package, graph.needs(pin.key)
            component = replace(
                component,
                name=about.name,
                licence=about.licence,
                licence_name=about.licence_name,
                supplier=about.supplier,
                description=about.summary,
                requires=needs.refs,
                complete=not needs.missing and not needs.unreadable,
            )
            ref = component.ref
            spots += [BlindSpot(k, said, ref) for k, said in metadata.inside(wheel.names).items()]
            spots += [BlindSpot("missing", f"{name} is required and not locked", ref) for name in needs.missing]
        if not pin.hashes:
            spots.append(BlindSpot("no hash", "the lock accepts any file of this version", component.ref))
        components.append(_hashed(component, pin, supported, wheel))
    return sorted(components, key=lambda c: (c.key, c.version, c.ref)), spots


def _scoped(
    components: Sequence[Component],
    nodes: Mapping[str, Node],
    requires: Sequence[tuple[str, str]],
    values: Mapping[str, str],
) -> tuple[list[Component], list[BlindSpot]]:
    """Each component with the strongest scope that leads to it."""
    scopes: dict[str, str] = {}
    for scope in SCOPES:
        texts = tuple(text for text, asked in requires if asked == scope)
        start = Graph({**nodes, "": Node("", texts)}, values).needs("").refs
        left = set(unreached(start, components))
        for component in components:
            if component.ref not in left:
                scopes.setdefault(component.ref, scope)
    strangers = [c.name for c in components if c.ref not in scopes]
    said = f"locked, and nobody asks for it: {', '.join(strangers)}"
    spots = [BlindSpot("unexplained", said)] if strangers else []
    return [replace(c, scope=scopes.get(c.ref, SCOPES[-1])) for c in components], spots


def _hashed(component: Component, pin: Locked, tags: Iterable[str], wheel: Wheel | None) -> Component:
    exact = ""
    if len(pin.hashes) == 1:
        exact = pin.hashes[0]
    elif wheel is not None and wheel.digest.value.hex() in pin.hashes:
        exact = wheel.digest.value.hex()
    elif pin.files:
        exact = _fitting(pin.files, list(tags))
    if exact:
        return replace(component, hashes={"SHA-256": exact}, hash_origin="lock")
    return replace(component, accepted=tuple(sorted(pin.hashes)), hash_origin="lock" if pin.hashes else "")


def _fitting(files: Mapping[str, str], tags: list[str]) -> str:
    """The hash of the file with the best of these tags; empty unless there is one such file."""
    by_tag: dict[str, set[str]] = {}
    for name, digest in files.items():
        try:
            for tag in parse_wheel_filename(name)[3]:
                by_tag.setdefault(str(tag), set()).add(digest)
        except ValueError:  # also of a version of thousands of digits
            continue  # a source distribution
    for wanted in tags:
        if wanted in by_tag:
            found = by_tag[wanted]
            return next(iter(found)) if len(found) == 1 else ""
    return ""


def _purl(pin: Locked) -> str:
    if not pin.source:
        return purl_of(pin.name, pin.version)
    if re.match(r"[a-z]+\+", pin.source):
        return purl_of(pin.name, pin.version, vcs_url=pin.source)
    return purl_of(pin.name, pin.version, download_url=pin.source)


def _applies(pin: Locked, values: Mapping[str, str]) -> bool:
    if not pin.marker:
        return True
    try:
        return lock_markers.parse(pin.marker).holds(values)
    except MalformedInput:
        pass  # installers read it in different ways, so it is not left out
    try:
        marker = Marker(pin.marker[:MAX_MARKER])
        if "extras" in pin.marker or "dependency_groups" in pin.marker:  # PEP 751: none is asked for
            sets: dict[str, str | frozenset[str]] = {
                "extras": frozenset(),
                "dependency_groups": frozenset(),
            }
            return marker.evaluate({**values, **sets}, context="lock_file")
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"{pin.name}: the marker {pin.marker[:200]!r} cannot be read") from error
    return True


def _pinned(by_key: Mapping[tuple[str, str], Locked], place: tuple[str, str]) -> Locked | None:
    """The pin of this version, also where it is written differently."""
    if place in by_key:
        return by_key[place]
    same = (p for (k, v), p in by_key.items() if k == place[0] and is_same_version(v, place[1]))
    return next(same, None)


def _wheels(folders: Path | Sequence[Path] | None, accepted: set[str] | None) -> dict[str, Wheel]:
    """Wheels in these folders by digest; with ``accepted``, those alone."""
    from chainlab.evidence.wheels import open_wheel

    found: dict[str, Wheel] = {}
    for folder in [folders] if isinstance(folders, Path) else folders or ():
        for path in sorted(folder.glob("*.whl")):
            digest = Digest.of_file(path).value.hex() if accepted is not None else ""
            if accepted is None or digest in accepted:
                wheel = open_wheel(path)
                found[wheel.digest.value.hex()] = wheel
    return found


def _of(pin: Locked, at_hand: Mapping[str, Wheel]) -> list[Wheel]:
    return [at_hand[h] for h in pin.hashes if h in at_hand][:1]
