"""Lock files: the versions and hashes that an installer will accept, and no others.

    >>> read(Path("requirements.lock")).components[0].hash_origin
    'lock'

A ``requirements.lock`` (pip's hash mode) lists the hashes of every file of a version, for all platforms, without their
names: a component's hash stands alone only where one file is listed, where ``pylock.toml`` names the file for this
platform, or where a folder of wheels has the one file that matches. Otherwise they are *accepted* hashes, and the
component says so.

Edges come from the ``# via`` remarks that uv and pip-compile write, from the dependencies of a pylock.toml, or from the
metadata of the wheels at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX, BlindSpot, Component, Inventory
from chainlab.evidence.locks import lock_markers, pylock, requirements_file
from chainlab.evidence.locks.lock_file import Lock, LockedFile, LockedPackage, merge_pins, read_bytes
from chainlab.evidence.packages import metadata
from chainlab.evidence.packages.dependency_graph import Graph, Node, roots, unreached
from chainlab.evidence.packages.interpreters import interpreter_properties, markers_here
from chainlab.evidence.packages.versions import is_same_version
from chainlab.evidence.packages.wheel_file import Wheel, open_wheel

__all__ = ["applicable", "load", "read", "unpinned", "with_hashes"]

SCOPES = ("required", "optional", "excluded")  # the strongest first


def load(path: Path) -> Lock:
    """Read a lock file, and the files that it includes.

    Raises `MalformedInput` for another file, and for another tool's lock, with the command that exports it.
    """
    return _parse(path.name, read_bytes(path), path.parent)


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
    lock, values = _pinning(path), markers_here(markers)
    subject = subject or Component(path.parent.resolve().name, type="application")
    chosen = [pin for pin in _chosen(lock, values) if not (pin.local and pin.key == subject.key)]
    spots = unpinned(lock, chosen)
    at_hand = _wheels(wheels, {file.sha256 for pin in chosen for file in pin.files})
    packages = {pin.key: w.package for pin in chosen for w in _of(pin, at_hand)}
    nodes = {pin.key: Node(pin.ref, packages[pin.key].requires if pin.key in packages else ()) for pin in chosen}
    asked = Node(subject.ref, tuple(text for text, _ in requires or ()))
    extras = Node("", tuple(f"{pin.name}[{','.join(pin.extras)}]" for pin in chosen if pin.extras))
    graph = Graph({**nodes, "": extras} | ({subject.key: asked} if requires is not None else {}), values)
    components, seen = _components(lock, chosen, at_hand, graph)
    spots += seen
    if requires is not None:
        needs = graph.needs(subject.key)
        subject = replace(subject, requires=needs.refs, complete=not needs.missing)
        spots += [BlindSpot("missing", f"{n} is asked for and not locked", subject.ref) for n in needs.missing]
        if lock.has_edges or len(packages) == len(chosen):
            components, more = _scoped(components, nodes, requires, values)
            spots += more
    elif direct := {pin.ref for pin in chosen if pin.direct}:
        subject = replace(subject, requires=tuple(sorted(direct)), complete=True)
    else:
        subject = replace(subject, requires=roots(components), complete=None)
    return Inventory(tuple(components), subject, "pre-build", tuple(sorted(set(spots))), interpreter_properties(values))


def applicable(
    name: str, data: bytes, markers: Mapping[str, str] | None = None
) -> tuple[list[LockedPackage], list[str]]:
    """The pins of a lock that an installer takes where ``markers`` say so, and the lines that pin nothing.

    ``data`` is the lock's bytes, ``name`` its file name; what it includes is unread. Raises `MalformedInput` for what
    is no lock.
    """
    lock = _parse(name, data, None)
    return _chosen(lock, markers_here(markers)), [*lock.open, *lock.unread]


def _parse(name: str, data: bytes, folder: Path | None) -> Lock:
    return pylock.read(name, data) if name.endswith(".toml") else requirements_file.read(name, data, folder)


def _pinning(path: Path) -> Lock:
    """A lock that pins something. Raises `MalformedInput` as `load`, and for another."""
    lock = load(path)
    if not lock.pins:
        first = next(iter((*lock.open, *lock.unread)), "")
        raise MalformedInput(
            f"{lock.name} pins nothing",
            why="no line names one version or one address" + (f": {first[:80]!r} does not" if first else ""),
            hint="make one: uv pip compile --generate-hashes requirements.txt -o requirements.lock",
        )
    return lock


def _chosen(lock: Lock, values: Mapping[str, str]) -> list[LockedPackage]:
    """The pins that apply, each once."""
    if lock.pylock is not None:
        return pylock.select(lock, lock.pylock, values)
    return merge_pins(replace(pin, marker="") for pin in lock.pins if _applies(pin, values))


def unpinned(lock: Lock, chosen: Sequence[LockedPackage]) -> list[BlindSpot]:
    """What a lock leaves open: lines that pin nothing, pins for other platforms, and two pins of one package."""
    spots = [BlindSpot("not pinned", f"{lock.name}: {line[:80]}") for line in lock.open]
    spots += [BlindSpot("not pinned", f"{lock.name}: cannot be read: {line[:80]}") for line in lock.unread]
    if others := sorted({pin.name for pin in lock.pins if pin.key not in {pin.key for pin in chosen}}):
        spots.append(BlindSpot("other platform", f"locked, and not for this one: {', '.join(others)}"))
    places: dict[str, list[str]] = {}
    for pin in chosen:
        places.setdefault(pin.key, []).append(pin.source or pin.local or pin.version)
    return spots + [
        BlindSpot("pinned twice", f"{key} is locked as {' and as '.join(found)}: an installer takes one, or refuses")
        for key, found in places.items()
        if len(found) > 1
    ]


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
    pins = _pinning(lock).pins if lock is not None else ()
    by_key: dict[tuple[str, str], LockedPackage] = {}
    for p in pins:  # one version may stand there for several platforms
        known = by_key.get((p.key, p.version), p)
        by_key[p.key, p.version] = replace(p, files=tuple(dict.fromkeys((*known.files, *p.files))))
    named = {p.key for p in pins if p.version}
    at_hand = {(str(canonicalize_name(w.package.name)), w.package.version): w for w in _wheels(wheels, None).values()}
    found = []
    for component in components:
        place: tuple[str, str] = (component.key, component.version)
        pin = _pinned(by_key, place) if component.key in named else None
        if pin is not None and pin.files:
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
    lock: Lock, chosen: Sequence[LockedPackage], at_hand: Mapping[str, Wheel], graph: Graph
) -> tuple[list[Component], list[BlindSpot]]:
    packages = {pin.key: w for pin in chosen for w in _of(pin, at_hand)}
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
            spots += [BlindSpot(k, said, ref) for k, said in metadata.hidden_code(wheel.names).items()]
            spots += [BlindSpot("missing", f"{name} is required and not locked", ref) for name in needs.missing]
        if not pin.files and not pin.is_revision:
            any_ = "whatever is at this address" if pin.source or pin.local else "any file of this version"
            spots.append(BlindSpot("no hash", f"the lock accepts {any_}", component.ref))
        if here and pin.files and not any(_tags(file, sdist="*") & here for file in pin.files):
            said = "the lock has no file for this platform, and an installer stops"
            spots.append(BlindSpot("other platform", said, component.ref))
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


def _hashed(component: Component, pin: LockedPackage, tags: Iterable[str], wheel: Wheel | None) -> Component:
    if exact := _exact(pin, tags, wheel):
        return replace(component, hashes=dict(exact.hashes), hash_origin="lock")
    accepted = {pair for file in pin.files for pair in file.hashes}
    return replace(component, accepted=tuple(sorted(accepted)), hash_origin="lock" if accepted else "")


def _exact(pin: LockedPackage, tags: Iterable[str], wheel: Wheel | None) -> LockedFile | None:
    """The one file that is accepted here; None where it may be several."""
    if len(pin.files) == 1:
        return pin.files[0]
    at_hand = wheel.digest.value.hex() if wheel is not None else ""
    return next((file for file in pin.files if at_hand and file.sha256 == at_hand), None) or _fitting(pin.files, tags)


def _fitting(files: Iterable[LockedFile], tags: Iterable[str]) -> LockedFile | None:
    """The file with the best of these tags; None unless there is one such file."""
    by_tag: dict[str, set[LockedFile]] = {}
    for file in files:
        for tag in _tags(file):
            by_tag.setdefault(tag, set()).add(file)
    best = next((by_tag[tag] for tag in tags if tag in by_tag), set())
    return next(iter(best)) if len(best) == 1 else None


def _tags(file: LockedFile, sdist: str = "") -> set[str]:
    """The platforms that a wheel is for; for another file, ``sdist``."""
    try:
        return {str(tag) for tag in parse_wheel_filename(file.name)[3]}
    except ValueError:
        return {sdist} if sdist else set()


def _applies(pin: LockedPackage, values: Mapping[str, str]) -> bool:
    if not pin.marker:
        return True
    try:
        return lock_markers.parse(pin.marker).holds(values)
    except MalformedInput:
        return True  # installers read it in different ways, so it is not left out


def _pinned(by_key: Mapping[tuple[str, str], LockedPackage], place: tuple[str, str]) -> LockedPackage | None:
    """The pin of this version, also where it is written differently."""
    if place in by_key:
        return by_key[place]
    same = (p for (k, v), p in by_key.items() if k == place[0] and is_same_version(v, place[1]))
    return next(same, None)


def _wheels(folders: Path | Sequence[Path] | None, accepted: set[str] | None) -> dict[str, Wheel]:
    """Wheels in these folders by digest; with ``accepted``, those alone."""
    found: dict[str, Wheel] = {}
    for folder in [folders] if isinstance(folders, Path) else folders or ():
        for path in sorted(folder.glob("*.whl")):
            digest = Digest.of_file(path).value.hex() if accepted is not None else ""
            if accepted is None or digest in accepted:
                wheel = open_wheel(path)
                found[wheel.digest.value.hex()] = wheel
    return found


def _of(pin: LockedPackage, at_hand: Mapping[str, Wheel]) -> list[Wheel]:
    return [at_hand[file.sha256] for file in pin.files if file.sha256 in at_hand][:1]
