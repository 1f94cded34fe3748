"""Diagrams of boxes and arrows: who talks to whom, what holds what, who signs what.

Each function returns a figure and its axes. The caller chooses the style and gives the finding as the title. The text
beside a diagram says the same in words.

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> fig, ax = audit_path(7, 6, title="Leaf 6 stands alone, and its proof has two hashes")
    >>> fig.get_size_inches().tolist()
    [9.0, 4.2]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chainlab.dashboards.drawing import ACCENT, GREY, INK, PALE, TEXT, Point, arrow, box, canvas, frame
from chainlab.errors import MalformedInput

__all__ = ["audit_path", "bundle", "cache_scopes", "decision", "growth", "keyless", "signers"]

_ACTORS: Final = (
    "you, or\na job",
    "issuer\n(OIDC)",
    "CA\n(Fulcio)",
    "CT log",
    "time-\nstamper",
    "transparency\nlog (Rekor)",
    "verifier,\nlater",
)
# From and to (columns), and what is sent. The verifier asks nobody: it only receives.
_KEYLESS: Final = (
    (0, 1, "1  sign in"),
    (1, 0, "2  token: who you are, for ten minutes"),
    (0, 2, "3  token, new public key, proof that you hold its private half"),
    (2, 3, "4  the certificate"),
    (2, 0, "5  certificate: this key belongs to this identity, for ten minutes; receipt of the CT log"),
    (0, 4, "6  the signature"),
    (4, 0, "7  signed time"),
    (0, 5, "8  digest, signature, certificate"),
    (5, 0, "9  entry with inclusion proof and signed checkpoint"),
    (0, 6, "10  file and bundle: what came back in 5, 7 and 9, and the signature"),
)


def keyless(*, title: str) -> tuple[Figure, Axes]:
    """Draw who talks to whom in keyless signing: seven parties, ten messages, from top to bottom."""
    fig, ax = canvas(9, 5.6, title, (-0.6, 6.6), (-len(_KEYLESS) - 0.4, 1.3))
    for column, name in enumerate(_ACTORS):
        kept = column == len(_ACTORS) - 1
        box(ax, (column, 0.75), 0.86, 0.9, name, fill="white" if kept else PALE, dashed=kept)
        ax.plot([column, column], [0.3, -len(_KEYLESS) - 0.2], color=GREY, lw=0.8, ls=(0, (2, 3)), zorder=0)
    for row, (start, stop, words) in enumerate(_KEYLESS):
        y = -row - 0.55
        answer = stop < start
        arrow(ax, (start, y), (stop, y), dashed=answer)
        ax.text(
            min(start, stop) + 0.06,
            y + 0.13,
            words,
            fontsize=8,
            color=ACCENT if answer else INK,
            va="bottom",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    return fig, ax


def bundle(*, title: str) -> tuple[Figure, Axes]:
    """Draw a Sigstore bundle, with the question that each part answers."""
    fig, ax = canvas(9, 4.6, title, (0, 9), (0, 4.6))
    frame(ax, 0.1, 0.15, 6.1, 4.3, "bundle (one JSON file)")
    frame(ax, 0.3, 1.74, 5.7, 2.31, "verificationMaterial")
    rows = (
        (3.35, "certificate", "public key, identity, issuer", "Which identity?"),
        (2.7, "timestampVerificationData", "the signature's signed time", "When?"),
        (2.05, "tlogEntries", "entry, inclusion proof, checkpoint", "Who else saw it?"),
        (1.38, "messageSignature, or dsseEnvelope", "digest and signature", "Which bytes?"),
    )
    for y, name, holds, question in rows:
        box(ax, (3.15, y), 5.3, 0.52, f"{name}: {holds}", fill=PALE)
        _question(ax, y, question, (5.8, y))
    ax.text(
        3.15, 0.62, "everything in here came from a stranger", fontsize=8.5, color=GREY, ha="center", style="italic"
    )
    box(ax, (7.6, 0.39), 2.3, 0.52, "your trusted root,\nyour policy", fill="white", dashed=True)
    _question(ax, 0.82, "Who accepts it?", None)
    return fig, ax


def audit_path(size: int, index: int, *, title: str) -> tuple[Figure, Axes]:
    """Draw the Merkle tree of ``size`` leaves (1 to 16), the path of one leaf to the root, and its inclusion proof.

    The path is filled, the proof's hashes are ringed, and other nodes are grey. Raises `MalformedInput` for a leaf
    that the tree does not have. Source: RFC 6962, section 2.1.1.
    """
    if not 1 <= size <= 16 or not 0 <= index < size:
        raise MalformedInput(f"no leaf {index} in a tree of {size}", hint="draw 1 to 16 leaves, counted from 0")
    proof = _siblings(0, size, index)
    legend = f"filled: leaf {index} and its way to the root.  thick ring: the proof's hashes, " + _listed(proof)
    return _merkle_tree(size, lambda start, stop: start <= index < stop, proof, title, legend)


def growth(first: int, second: int, *, title: str) -> tuple[Figure, Axes]:
    """Draw the Merkle tree of ``second`` leaves (2 to 16), and the proof that it begins with that of ``first``.

    The first tree's leaves are filled, and the proof's hashes are ringed. Raises `MalformedInput` for other sizes.
    Source: RFC 6962, section 2.1.2.
    """
    if not 1 <= first < second <= 16:
        raise MalformedInput(f"no growth from {first} to {second}", hint="draw from 1 leaf on, to 16 leaves at most")
    proof = _growth(first, 0, second, whole=True)
    legend = f"filled: the first {first} leaves.  thick ring: the proof's hashes, " + _listed(proof)
    return _merkle_tree(second, lambda start, stop: stop <= first and stop - start == 1, proof, title, legend)


def _merkle_tree(
    size: int, filled: Callable[[int, int], bool], ringed: Sequence[tuple[int, int]], title: str, legend: str
) -> tuple[Figure, Axes]:
    """Draw a tree; ``filled`` and ``ringed`` name a node by its first leaf and the one behind its last."""
    fig, ax = plt.subplots(figsize=(9, 4.2))
    nodes: list[tuple[Point, int, int]] = []

    def place(start: int, stop: int) -> Point:
        if stop - start == 1:
            point: Point = (float(start), 0.0)
        else:
            middle = start + (1 << (stop - start - 1).bit_length() - 1)
            left, right = place(start, middle), place(middle, stop)
            point = ((left[0] + right[0]) / 2, max(left[1], right[1]) + 1)
            for child in (left, right):
                ax.plot([point[0], child[0]], [point[1], child[1]], color=GREY, lw=1, zorder=0)
        nodes.append((point, start, stop))
        return point

    height = place(0, size)[1]
    for point, start, stop in nodes:
        name = str(start) if stop - start == 1 else f"{start}–{stop - 1}"
        dark, in_proof = filled(start, stop), (start, stop) in ringed
        ax.text(
            *point,
            name,
            ha="center",
            va="center",
            fontsize=9.5,
            weight="bold" if dark or in_proof else "normal",
            color="white" if dark else TEXT,
            bbox={
                "boxstyle": "round,pad=0.35",
                "facecolor": INK if dark else "white",
                "edgecolor": ACCENT if in_proof else INK if dark else GREY,
                "linewidth": 2.6 if in_proof else 1,
            },
        )
    ax.text(-0.4, -0.75, legend, fontsize=8.5, color=TEXT)
    ax.set(xlim=(-0.6, max(size - 0.4, 5)), ylim=(-1, height + 0.5), title=title)
    ax.axis("off")
    return fig, ax


def cache_scopes(*, title: str) -> tuple[Figure, Axes]:
    """Draw which runs read and write which scope of a repository's cache, before and since 26 June 2026."""
    fig, ax = canvas(9, 4.4, title, (0, 9), (-0.1, 4.5))
    runs = (
        (3.75, "pull_request\n(a fork's change)"),
        (2.45, "pull_request_target\n(the same change)"),
        (1.15, "push of a tag\n(the release)"),
    )
    scopes = ((3.75, "refs/pull/N/merge"), (2.45, "refs/heads/main"), (1.15, "refs/tags/v1.4.1"))
    for y, name in runs:
        box(ax, (1.2, y), 2.1, 0.66, name, fill=PALE)
    for y, name in scopes:
        box(ax, (7.6, y), 2.2, 0.66, name, fill="white")
    arrow(ax, (2.3, 3.75), (6.45, 3.75), "writes and reads")
    arrow(ax, (2.3, 3.6), (6.45, 2.75), dashed=True)
    arrow(ax, (2.3, 2.45), (6.45, 2.45), "wrote until 26 June 2026; now reads only", accent=True)
    arrow(ax, (6.45, 2.2), (2.3, 1.35), "the release reads it: the poison's way", accent=True)
    arrow(ax, (2.3, 1.0), (6.45, 1.0), "writes and reads")
    ax.text(
        0.15,
        0.1,
        "A run searches its own ref, then its base, then the default branch. Dashed: reads only. Orange: attack 2.",
        fontsize=8.5,
        color=TEXT,
    )
    return fig, ax


def signers(*, title: str) -> tuple[Figure, Axes]:
    """Draw one release: what each job makes, and which evidence the job, the platform and the gate sign."""
    fig, ax = canvas(9, 4.9, title, (0, 9.05), (0, 4.9))
    jobs = (
        ("source", "source.tar,\nlock", "SBOM"),
        ("build", "wheel", "SBOM"),
        ("train", "triage.onnx,\nmetrics", "ML-BOM, model\nsignature"),
        ("package", "OCI artifact,\nwheel in the index", "attestation\n(PEP 740)"),
        ("gate", "a verdict", ""),
    )
    for y, name in (
        (4.35, "job"),
        (3.35, "makes"),
        (2.2, "the job signs,\nas this workflow\nat this tag"),
        (0.95, "others sign"),
    ):
        ax.text(0.1, y, name, fontsize=8.5, color=GREY, va="center")
    for column, (job, makes, signs) in enumerate(jobs):
        x = 2.1 + 1.55 * column
        box(ax, (x, 4.35), 1.25, 0.5, job, fill=INK, ink="white")
        box(ax, (x, 3.35), 1.4, 0.7, makes, fill="white")
        arrow(ax, (x, 4.1), (x, 3.7))
        if signs:
            box(ax, (x + 0.16, 2.2), 1.16, 0.7, signs, fill=PALE)
            arrow(ax, (x + 0.16, 2.55), (x + 0.16, 3.0), dashed=True)
        if column:
            arrow(ax, (x - 0.92, 4.35), (x - 0.63, 4.35))
    box(
        ax,
        (4.43, 0.95),
        6.05,
        0.6,
        "the platform, when each job has ended: provenance of what the job stored",
        dashed=True,
    )
    box(ax, (8.3, 0.95), 1.3, 0.6, "the gate:\nVSA", dashed=True)
    arrow(ax, (8.3, 1.25), (8.3, 3.0), dashed=True)
    for column in range(4):
        x = 1.54 + 1.55 * column
        arrow(ax, (x, 1.25), (x, 3.0), dashed=True)
    ax.text(
        0.1, 0.25, "Dashed arrows: a signed statement about the thing that they point to.", fontsize=8.5, color=TEXT
    )
    return fig, ax


def decision(*, title: str) -> tuple[Figure, Axes]:
    """Draw the steps to prod (evidence, facts, rules, verdict, promotion), and what each step leaves to another."""
    fig, ax = canvas(9, 3.3, title, (0, 9), (0, 3.3))
    steps = (
        ("evidence", "bundles beside\nthe release", "by strangers"),
        ("facts", "Python verifies:\none JSON document", "decides nothing"),
        ("rules", "Rego reads the facts:\nten rules, each yes or no", "verifies nothing"),
        ("VSA", "the verdict, signed\nby the gate", "names policy and digest"),
        ("prod", "deployment installs\nby digest", "believes the gate alone"),
    )
    for column, (name, does, limit) in enumerate(steps):
        x = 0.95 + 1.78 * column
        box(ax, (x, 2.55), 1.4, 0.5, name, fill=INK, ink="white")
        box(ax, (x, 1.6), 1.66, 0.8, does, fill=PALE)
        ax.text(x, 0.95, limit, fontsize=8.5, color=ACCENT, ha="center", va="center")
        if column:
            arrow(ax, (x - 1.06, 2.55), (x - 0.72, 2.55))
    ax.text(
        0.1,
        0.3,
        "Orange: what a step leaves to another. A missing fact never counts as a yes.",
        fontsize=8.5,
        color=TEXT,
    )
    return fig, ax


def _siblings(start: int, stop: int, index: int) -> Sequence[tuple[int, int]]:
    """The subtrees whose hashes prove a leaf, the lowest first."""
    if stop - start == 1:
        return []
    middle = start + (1 << (stop - start - 1).bit_length() - 1)
    if index < middle:
        return [*_siblings(start, middle, index), (middle, stop)]
    return [*_siblings(middle, stop, index), (start, middle)]


def _growth(first: int, start: int, stop: int, *, whole: bool) -> Sequence[tuple[int, int]]:
    """The nodes of a consistency proof, as `MerkleTree.consistency` orders their hashes."""
    if first == stop:
        return [] if whole else [(start, stop)]
    middle = start + (1 << (stop - start - 1).bit_length() - 1)
    if first <= middle:
        return [*_growth(first, start, middle, whole=whole), (middle, stop)]
    return [*_growth(first, middle, stop, whole=False), (start, middle)]


def _listed(nodes: Sequence[tuple[int, int]]) -> str:
    return ", ".join(_leaf_range(node) for node in nodes) or "none"


def _leaf_range(node: tuple[int, int]) -> str:
    start, stop = node
    return str(start) if stop - start == 1 else f"{start}–{stop - 1}"


def _question(ax: Axes, y: float, text: str, stop: Point | None) -> None:
    ax.text(7.6, y, text, fontsize=10, color=ACCENT, weight="bold", ha="center", va="center")
    if stop is not None:
        arrow(ax, (6.75, y), (stop[0] + 0.05, y), accent=True)
