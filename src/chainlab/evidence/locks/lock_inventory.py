"""Inventories of lock files: the versions and hashes that an installer accepts.

    >>> read(Path("requirements.lock")).components[0].hash_origin
    'lock'

A ``requirements.lock`` (pip's hash mode) lists the hashes of every file of a version, for all platforms, without their
names; `file_hashes` chooses among them.

Edges come from the ``# via`` remarks that uv and pip-compile write, from the dependencies of a pylock.toml, or from the
metadata of the wheels at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX, BlindSpot, Component, Inventory
from chainlab.evidence.locks import lock_markers, pylock, requirements_file
from chainlab.evidence.locks.file_hashes import platform_tags, read_wheels, wheel_of, with_file_hash
from chainlab.evidence.locks.lock_file import Lock, LockedPackage, merge_pins, read_bytes
from chainlab.evidence.packages import metadata
from chainlab.evidence.packages.dependency_graph import Graph, Node, roots, unreached
from chainlab.evidence.packages.interpreters import interpreter_properties, markers_here
from chainlab.evidence.packages.versions import is_same_version
from chainlab.evidence.packages.wheel_file import Wheel

__all__ = ["load", "read", "select", "unpinned", "with_hashes"]

SCOPES = ("required", "optional", "excluded")  # the strongest first


def load(path: Path) -> Lock:
    """Read a lock file, and the files that it includes.

    Raises `MalformedInput` for a file that cannot be read; for another tool's lock, with the command that exports it.
    """
    data = read_bytes(path)
    if path.suffix == ".toml":
        return pylock.read(path.name, data)
    return requirements_file.read(path.name, data, path.parent)


def read(
    path: Path,
    *,
    subject: Component | None = None,
    wheels: Path | Sequence[Path] | None = None,
    markers: Mapping[str, str] | None = None,
    requires: Sequence[tuple[str, str]] | None = None,
) -> Inventory:
    """List what a lock makes an installer install for ``markers`` (default: those of this interpreter).

    ``wheels`` are folders with the wheels: their licences, suppliers and needs are read there. ``requires`` is what the
    subject itself asks for, each as ``Requires-Dist`` writes it, with its scope. Where the graph is known, a locked
    package that nobody asks for gets the scope ``excluded``. Raises `MalformedInput` as `load`, and for a lock that
    pins nothing.
    """
    lock, values = _load_pinned(path), markers_here(markers)
    subject = subject or Component(path.parent.resolve().name, type="application")
    chosen = [pin for pin in select(lock, values) if not (pin.local and pin.key == subject.key)]
    spots = unpinned(lock, chosen)
    at_hand = read_wheels(wheels, {file.sha256 for pin in chosen for file in pin.files})
    packages = {pin.key: w.package for pin in chosen for w in wheel_of(pin, at_hand)}
    nodes = {pin.key: Node(pin.ref, packages[pin.key].requires if pin.key in packages else ()) for pin in chosen}
    subject_node = Node(subject.ref, tuple(text for text, _ in requires or ()))
    extras = Node("", tuple(f"{pin.name}[{','.join(pin.extras)}]" for pin in chosen if pin.extras))
    graph = Graph({**nodes, "": extras} | ({subject.key: subject_node} if requires is not None else {}), values)
    components, more_spots = _components(lock, chosen, at_hand, graph)
    spots += more_spots
    if requires is not None:
        needs = graph.needs(subject.key)
        subject = replace(subject, requires=needs.refs, complete=not needs.missing)
        spots += [BlindSpot("missing", f"{n} is asked for and not locked", subject.ref) for n in needs.missing]
        if lock.has_edges or len(packages) == len(chosen):
            components, scope_spots = _with_scopes(components, nodes, requires, values)
            spots += scope_spots
    elif direct := {pin.ref for pin in chosen if pin.direct}:
        subject = replace(subject, requires=tuple(sorted(direct)), complete=True)
    else:
        subject = replace(subject, requires=roots(components), complete=None)
    return Inventory(tuple(components), subject, "pre-build", tuple(sorted(set(spots))), interpreter_properties(values))


def _load_pinned(path: Path) -> Lock:
    """Read a lock as `load`; raise `MalformedInput` also for one that pins nothing."""
    lock = load(path)
    if not lock.pins:
        first = next(iter((*lock.open, *lock.unread)), "")
        raise MalformedInput(
            f"{lock.name} pins nothing",
            why="no line names one version or one address" + (f": {first[:80]!r} does not" if first else ""),
            hint="make one: uv pip compile --generate-hashes requirements.txt -o requirements.lock",
        )
    return lock


def select(lock: Lock, values: Mapping[str, str]) -> list[LockedPackage]:
    """The pins that an installer takes for these values of markers, each once.

    Raises `MalformedInput` where an installer refuses the lock.
    """
    if lock.pylock is not None:
        return pylock.select(lock, lock.pylock, values)
    return merge_pins(replace(pin, marker="") for pin in lock.pins if _applies(pin, values))


def unpinned(lock: Lock, chosen: Sequence[LockedPackage]) -> list[BlindSpot]:
    """List what a lock leaves open: lines that pin nothing, pins for other platforms, two pins of one package."""
    spots = [BlindSpot("not pinned", f"{lock.name}: {line[:80]}") for line in lock.open]
    spots += [BlindSpot("not pinned", f"{lock.name}: cannot be read: {line[:80]}") for line in lock.unread]
    if others := sorted({pin.name for pin in lock.pins if pin.key not in {pin.key for pin in chosen}}):
        spots.append(BlindSpot("other platform", f"locked, and not for this one: {', '.join(others)}"))
    places: dict[str, list[str]] = {}
    for pin in chosen:
        places.setdefault(pin.key, []).append(pin.source or pin.local or pin.version)
    twice = {key: " and as ".join(pinned_as) for key, pinned_as in places.items() if len(pinned_as) > 1}
    note = "an installer takes one, or refuses"
    return spots + [BlindSpot("pinned twice", f"{key} is locked as {text}: {note}") for key, text in twice.items()]


def with_hashes(
    components: Sequence[Component],
    *,
    lock: Path | None,
    wheels: Path | Sequence[Path] | None = None,
    tags: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Component]:
    """Add the hashes of the wheels that components were installed from, as far as lock and wheels tell.

    ``tags`` are each component's platform tags, by its ref: they choose among the files that a pylock names.
    """
    pins = _load_pinned(lock).pins if lock is not None else ()
    by_key: dict[tuple[str, str], LockedPackage] = {}
    for p in pins:  # a lock may list one version several times, for several platforms
        earlier = by_key.get((p.key, p.version), p)
        by_key[p.key, p.version] = replace(p, files=tuple(dict.fromkeys((*earlier.files, *p.files))))
    pinned_keys = {p.key for p in pins if p.version}
    files = read_wheels(wheels, None).values()
    at_hand = {(str(canonicalize_name(w.package.name)), w.package.version): w for w in files}
    result = []
    for component in components:
        place: tuple[str, str] = (component.key, component.version)
        pin = _pin_of(by_key, place) if component.key in pinned_keys else None
        if pin is not None and pin.files:
            result.append(with_file_hash(component, pin, (tags or {}).get(component.ref, ()), at_hand.get(place)))
        elif pin is None and component.key in pinned_keys:
            versions = ", ".join(sorted(p.version for p in pins if p.key == component.key))
            note = (f"{PREFIX}differs-from-lock", f"the lock says {versions}")
            result.append(replace(component, properties=(*component.properties, note)))
        elif place in at_hand and lock is None:
            digest = at_hand[place].digest.value.hex()
            result.append(replace(component, hashes={"SHA-256": digest}, hash_origin="file"))
        else:
            result.append(component)
    return result


def _components(
    lock: Lock, chosen: Sequence[LockedPackage], at_hand: Mapping[str, Wheel], graph: Graph
) -> tuple[list[Component], list[BlindSpot]]:
    packages = {pin.key: w for pin in chosen for w in wheel_of(pin, at_hand)}
    via: dict[str, set[str]] = {}
    for pin in chosen:
        for name in pin.via or ():
            via.setdefault(name, set()).add(pin.ref)
    supported = [str(tag) for tag in sys_tags()] if lock.pylock is not None else []
    own = {**graph.markers, **markers_here()} == graph.markers
    here = {*supported, "*"} if own and supported else set()
    components, spots = [], []
    for pin in chosen:
        wheel = packages.get(pin.key)
        component = Component(
            pin.name,
            pin.version,
            pin.purl,
            scope="required",
            properties=((f"{PREFIX}installed-from", pin.local),) if pin.local else (),
            requires=tuple(sorted(via.get(pin.key, ()))),
            complete=True if lock.has_edges else None,
            found_in=lock.name,
        )
        if wheel is not None:
            package, needs = wheel.package, graph.needs(pin.key)
            component = replace(
                component,
                name=package.name,
                licence=package.licence,
                licence_name=package.licence_name,
                supplier=package.supplier,
                description=package.summary,
                requires=needs.refs,
                complete=not needs.missing and not needs.unreadable,
            )
            ref = component.ref
            spots += [BlindSpot(k, message, ref) for k, message in metadata.hidden_code(wheel.names).items()]
            spots += [BlindSpot("missing", f"{name} is required and not locked", ref) for name in needs.missing]
        if not pin.files and not pin.is_revision:
            any_ = "whatever is at this address" if pin.source or pin.local else "any file of this version"
            spots.append(BlindSpot("no hash", f"the lock accepts {any_}", component.ref))
        if here and pin.files and not any(platform_tags(file, sdist="*") & here for file in pin.files):
            message = "the lock has no file for this platform, and an installer stops"
            spots.append(BlindSpot("other platform", message, component.ref))
        components.append(with_file_hash(component, pin, supported, wheel))
    return sorted(components, key=lambda c: (c.key, c.version, c.ref)), spots


def _with_scopes(
    components: Sequence[Component],
    nodes: Mapping[str, Node],
    requires: Sequence[tuple[str, str]],
    values: Mapping[str, str],
) -> tuple[list[Component], list[BlindSpot]]:
    """Give each component the strongest scope that leads to it; name those that no scope leads to."""
    scopes: dict[str, str] = {}
    for scope in SCOPES:
        texts = tuple(text for text, scope_of_text in requires if scope_of_text == scope)
        start = Graph({**nodes, "": Node("", texts)}, values).needs("").refs
        unreached_refs = set(unreached(start, components))
        for component in components:
            if component.ref not in unreached_refs:
                scopes.setdefault(component.ref, scope)
    strangers = [c.name for c in components if c.ref not in scopes]
    message = f"locked, and nobody asks for it: {', '.join(strangers)}"
    spots = [BlindSpot("unexplained", message)] if strangers else []
    return [replace(c, scope=scopes.get(c.ref, SCOPES[-1])) for c in components], spots


def _applies(pin: LockedPackage, values: Mapping[str, str]) -> bool:
    if not pin.marker:
        return True
    try:
        return lock_markers.parse(pin.marker).holds(values)
    except MalformedInput:
        return True  # installers read the marker in different ways, so the pin is not left out


def _pin_of(by_key: Mapping[tuple[str, str], LockedPackage], place: tuple[str, str]) -> LockedPackage | None:
    """The pin of this version, also if the lock writes the version in another way."""
    if place in by_key:
        return by_key[place]
    matches = (p for (k, v), p in by_key.items() if k == place[0] and is_same_version(v, place[1]))
    return next(matches, None)
