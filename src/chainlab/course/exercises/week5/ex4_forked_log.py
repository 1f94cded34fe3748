"""Cases for exercise 5.4: which pairs of checkpoints prove that a log forked?

Each case is a board: checkpoints that observers kept, and proofs that nobody signed. The logs are built here, so it is
known which checkpoints belong to which face and which proofs hold; one board is of the instance's own log. Each board
has a healthy log too, and most have one with two roots of one size, so that no constant is worth much.

    >>> _exactly({(0, 2)}, 3)([[2, 0]])
    True
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

from chainlab import database
from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.observed_logs import ObservedLog, ObserversBoard, signed_by
from chainlab.trust.keys import Keys
from chainlab.trust.log import read_entry
from chainlab.trust.root import LOG_V2

__all__ = ["cases"]

SEE = "labs/05_monitoring.ipynb, 'A log with two faces'"
TEACHES = {
    "one size, two roots": (
        "A root fixes every entry below it. A log that signs two roots for one size has two histories; no further "
        "proof is needed."
    ),
    "a log that grows": "Another size has another root. That is growth, until something shows that it is not.",
    "a tree that begins otherwise": (
        "The proof leads to the larger checkpoint, so its signer has promised that the first entries have *this* root. "
        "The smaller checkpoint has another root for the same size."
    ),
    "two entries at one index": (
        "Both inclusion proofs hold, each under a signed root, and they put different entries at one index. An index "
        "holds one entry for ever."
    ),
    "an entry that both trees have": (
        "The two faces share what was logged before they parted. An inclusion proof in each shows that one entry was "
        "not touched; about the rest it is silent. The consistency proof is not."
    ),
    "an entry that was logged twice": "One entry may stand at two indices. Only two entries at one index contradict.",
    "an entry that came later": "The smaller tree has no such index, so it says nothing about it.",
    "a fork that nobody can prove yet": (
        "The proof leads nowhere, and anybody can write down hashes that lead nowhere. The log owes you a proof, and "
        "that is worth an alarm; a third party has only your word for what the log answered."
    ),
    "a tree that anybody can grow": (
        "The proof begins at a signed root and ends at one that nobody signed. Whoever has the entries can append "
        "their own and build it. A signature binds what lies *under* it: follow proofs from the signed end."
    ),
    "a proof of inclusion that does not hold": "A proof that does not hold shows nothing.",
    "another log": "Two logs may have the same size and other entries. Origin and key say which log a root is of.",
    "a new shard": (
        "The new shard has its own origin, and it starts small. The old one is read to its end and kept: it is "
        "closed, it is not rewritten."
    ),
    "a checkpoint that the log did not sign": (
        "Whoever can write text can write a checkpoint. Only the log's signature makes it the log's word; without "
        "it you would accuse an honest log."
    ),
    "a smaller tree after a larger one": (
        "A mirror that lags shows yesterday's tree. Time is not in the comparison: sizes and roots are."
    ),
    "one checkpoint, seen twice": "Two observers who hold the same root hold no contradiction. That is the good case.",
    "proofs in a row": (
        "One proof leads to a tree that nobody signed, and the next leads from there to a signed one. Promises reach "
        "through: go on until nothing is added, in whatever order the proofs lie."
    ),
    "neither has that size": (
        "Both checkpoints are larger than the tree that they contradict each other about. Collect what each one "
        "promises, then compare the promises."
    ),
    "an entry of a promised tree": (
        "The inclusion proof is about a tree that nobody signed. A consistency proof ties that tree to a signed root, "
        "so the entry is promised as well."
    ),
    "the kit's own log": (
        "Two bundles brought two checkpoints and two inclusion proofs, all true. The third checkpoint has the log's "
        "signature too: whoever holds the key can sign a second history."
    ),
    "many observers": "Every pair that the proofs reach, and no other. Which promises of the two differ?",
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make boards: contradictions first, then what only looks like one, then longer chains."""
    yield from _contradictions(rng)
    yield from _entries(rng)
    yield from _no_proofs(rng)
    yield from _other_logs(rng)
    yield from _chains(rng)
    yield _own_log(lab, rng)
    yield _many_observers(rng)


def _faces(board: ObserversBoard) -> tuple[ObservedLog, ObservedLog, int]:
    """Make a log and its second face; gives also the size at which they part."""
    parted = board.rng.randrange(3, 20)
    log = board.log(parted + board.rng.randrange(4, 12))
    return log, log.forked_at(parted, len(log) - parted + board.rng.randrange(3, 12)), parted


def _contradictions(rng: random.Random) -> Iterator[Case]:
    """Two roots for one size, signed or promised; and growth, which is none."""
    board = ObserversBoard(rng)
    board.two_roots()
    yield _case(board, "one size, two roots")
    board = ObserversBoard(rng)
    log = board.log(rng.randrange(20, 60))
    sizes = sorted(rng.sample(range(1, len(log)), 3))
    for first, second in pairwise(sizes):
        board.proofs.append(log.consistency(first, second))
    for size in sizes:
        board.keep(log.checkpoint(size))
    yield _case(board, "a log that grows")
    board = ObserversBoard(rng)
    log, face, _ = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    board.proofs.append(face.consistency(len(log), len(face)))
    yield _case(board, "a tree that begins otherwise")


def _entries(rng: random.Random) -> Iterator[Case]:
    """Inclusion proofs: what they show about two trees, and what they do not."""
    board = ObserversBoard(rng)
    log, face, parted = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    index = rng.randrange(parted, len(log))
    board.proofs += [log.inclusion(index, len(log)), face.inclusion(index, len(face))]
    yield _case(board, "two entries at one index")
    board = ObserversBoard(rng)
    log, face, parted = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    index = rng.randrange(parted)
    board.proofs += [log.inclusion(index, len(log)), face.inclusion(index, len(face))]
    board.proofs.append(face.consistency(len(log), len(face)))
    yield _case(board, "an entry that both trees have")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(6, 20))
    size, index = len(log), rng.randrange(len(log))
    log.append(log.entries[index])
    log.grow(rng.randrange(3))
    board.keep(log.checkpoint(size))
    board.keep(log.checkpoint(len(log)))
    board.proofs += [log.inclusion(index, size), log.inclusion(size, len(log))]
    yield _case(board, "an entry that was logged twice")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(12, 30))
    size = len(log) - rng.randrange(3, 9)
    board.keep(log.checkpoint(size))
    board.keep(log.checkpoint(len(log)))
    board.proofs += [log.inclusion(rng.randrange(size), size), log.inclusion(rng.randrange(size, len(log)), len(log))]
    yield _case(board, "an entry that came later")


def _no_proofs(rng: random.Random) -> Iterator[Case]:
    """Proofs that show nothing: they do not hold, or end where nobody signed."""
    board = ObserversBoard(rng)
    board.two_roots()
    log, face, _ = _faces(board)
    board.keep(log.checkpoint(len(log)))
    board.keep(face.checkpoint(len(face)))
    answer = face.consistency(len(log), len(face))
    board.proofs.append({**answer, "first_root": log.root(len(log))})  # from the one face to the other: there is none
    spoiled = [*answer["hashes"][:-1], rng.randbytes(32)]
    board.proofs.append({**answer, "hashes": spoiled})
    yield _case(board, "a fork that nobody can prove yet")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(20, 40))
    size = len(log) - rng.randrange(5, 12)
    board.keep(log.checkpoint(size))
    board.keep(log.checkpoint(len(log)))
    board.proofs.append(log.forked_at(size, len(log) - size).consistency(size, len(log)))
    board.proofs.append(log.forked_at(size, len(log) - size).inclusion(len(log) - 1, len(log)))
    board.proofs.append(log.inclusion(len(log) - 1, len(log)))
    yield _case(board, "a tree that anybody can grow")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(12, 30))
    size, index = len(log) - rng.randrange(3, 6), rng.randrange(5)
    board.keep(log.checkpoint(size))
    board.keep(log.checkpoint(len(log)))
    board.proofs += [log.inclusion(index, size), {**log.inclusion(index, len(log)), "entry": b"entry of another log"}]
    yield _case(board, "a proof of inclusion that does not hold")


def _other_logs(rng: random.Random) -> Iterator[Case]:
    """Checkpoints that differ because they are of other logs, of nobody, older or the same."""
    board = ObserversBoard(rng)
    board.two_roots()
    size = rng.randrange(5, 30)
    board.checkpoints += [board.log(size).checkpoint(size) for _ in range(2)]
    yield _case(board, "another log")
    board = ObserversBoard(rng)
    board.two_roots()
    old = board.log(rng.randrange(20, 40))
    shard = ObservedLog(old.origin.replace(".", "-2.", 1), rng)
    board.logs.append(shard)
    shard.grow(rng.randrange(2, 9))
    board.keep(old.checkpoint(len(old)))
    board.keep(shard.checkpoint(len(shard)))
    board.proofs += [old.consistency(len(shard), len(old)), old.inclusion(0, len(old)), shard.inclusion(0, len(shard))]
    yield _case(board, "a new shard")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(5, 30))
    size = len(log)
    board.keep(log.checkpoint(size))
    thief = ObservedLog(log.origin, rng)  # the right name, another key
    thief.grow(size)
    board.keep(thief.checkpoint(size))
    note, forged = log.checkpoint(size)["note"], thief.checkpoint(size)
    forged["note"] = forged["note"].partition("\n\n")[0] + "\n\n" + note.partition("\n\n")[2]  # a copied signature
    board.keep(forged)
    yield _case(board, "a checkpoint that the log did not sign")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(20, 40))
    for size in (len(log), len(log) - rng.randrange(5, 12)):
        board.keep(log.checkpoint(size))
    yield _case(board, "a smaller tree after a larger one")
    board = ObserversBoard(rng)
    board.two_roots()
    log = board.log(rng.randrange(5, 30))
    for _ in range(2):
        board.keep(log.checkpoint(len(log)))
    yield _case(board, "one checkpoint, seen twice")


def _chains(rng: random.Random) -> Iterator[Case]:
    """Promises that are reached over trees that nobody signed."""
    board = ObserversBoard(rng)
    log, face, _ = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    sizes = [len(log), *sorted(rng.sample(range(len(log) + 1, len(face)), 2)), len(face)]
    for first, second in pairwise(sizes):
        board.proofs.append(face.consistency(first, second))
    yield _case(board, "proofs in a row")
    board = ObserversBoard(rng)
    log, face, parted = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    size = rng.randrange(parted + 1, len(log))
    board.proofs += [log.consistency(size, len(log)), face.consistency(size, len(face))]
    yield _case(board, "neither has that size")
    board = ObserversBoard(rng)
    log, face, parted = _faces(board)
    board.pairs.append((board.keep(log.checkpoint(len(log))), board.keep(face.checkpoint(len(face)))))
    index = rng.randrange(parted, len(log) - 1)
    size = rng.randrange(index + 1, len(log))
    board.proofs += [log.inclusion(index, size), log.consistency(size, len(log)), face.inclusion(index, len(face))]
    yield _case(board, "an entry of a promised tree")


def _own_log(lab: LabContext, rng: random.Random) -> Case:
    """Take checkpoints and proofs of the instance's own log from two bundles; sign a second history with its key."""
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    board = ObserversBoard(rng)
    context = SigningContext.from_trust_config(lab.trust.config)
    bundles = []
    for _ in range(2):
        with context.signer(IdentityToken(lab.trust.token("alice@example.com"))) as signer:
            bundles.append(json.loads(signer.sign_artifact(rng.randbytes(20)).to_json()))
    logged = [bundle["verificationMaterial"]["tlogEntries"][0] for bundle in bundles]
    size = int(logged[1]["inclusionProof"]["treeSize"])
    with closing(database.connect(lab.trust.directory / "state.db")) as connection:
        bodies = tuple(read_entry(connection, "v2", index).body for index in range(size))
    honest = ObservedLog(LOG_V2, rng, Keys.load(lab.trust.directory / "keys.json").log_v2_key, bodies)
    board.logs.append(honest)
    for entry in logged:
        proof = entry["inclusionProof"]
        root = base64.b64decode(proof["rootHash"])
        seen = {"origin": LOG_V2, "size": int(proof["treeSize"]), "root": root}
        board.keep({"note": proof["checkpoint"]["envelope"], **seen})
        hashes = [base64.b64decode(hash) for hash in proof.get("hashes", [])]
        about = {"size": seen["size"], "root": root, "hashes": hashes}
        body = base64.b64decode(entry["canonicalizedBody"])
        board.proofs.append({"index": int(proof["logIndex"]), "entry": body, **about})
    face = honest.forked_at(int(logged[0]["inclusionProof"]["logIndex"]), 1)
    face.grow(size - len(face) + rng.randrange(2, 9))
    board.keep(face.checkpoint(len(face)))
    board.proofs += [honest.consistency(board.checkpoints[0]["size"], size), face.consistency(size, len(face))]
    board.pairs.append((1, 2))
    return _case(board, "the kit's own log")


def _many_observers(rng: random.Random) -> Case:
    """Two faces, each seen at several sizes, with proofs along each face."""
    board = ObserversBoard(rng)
    log, face, parted = _faces(board)
    common = rng.randrange(1, parted)
    board.keep(log.checkpoint(common))  # before the faces part: it contradicts nothing
    kept: list[list[int]] = []
    for each in (log, face):
        sizes = [*sorted(rng.sample(range(parted + 1, len(each)), 2)), len(each)]
        kept.append([board.keep(each.checkpoint(size)) for size in sizes])
        for first, second in pairwise([common, *sizes]):
            board.proofs.append(each.consistency(first, second))
    middle = rng.randrange(parted + 1, len(log))
    board.proofs += [log.consistency(middle, len(log)), face.consistency(middle, len(face))]
    board.pairs += [(a, b) for a in kept[0] for b in kept[1] if _contradict(board, log, face, (a, b), middle)]
    return _case(board, "many observers")


def _contradict(board: ObserversBoard, log: ObservedLog, face: ObservedLog, pair: tuple[int, int], middle: int) -> bool:
    """Say whether the sizes that a pair's proofs reach have one in common at which the faces differ."""
    reached = []
    for number, each in zip(pair, (log, face), strict=True):
        size = board.checkpoints[number]["size"]
        smaller = {
            c["size"]
            for c in board.checkpoints
            if c["size"] <= size and c["root"] == each.tree.root(min(c["size"], len(each)))
        }
        reached.append(smaller | ({middle} if size == len(each) else set()))
    return any(log.root(size) != face.root(size) for size in reached[0] & reached[1])


def _case(board: ObserversBoard, name: str) -> Case:
    board.bystander()
    checkpoints, proofs, pairs = board.shuffled()
    return Case(name, (checkpoints, proofs, signed_by(*board.logs)), accept=_exactly(pairs, len(checkpoints)))


def _exactly(pairs: set[tuple[int, int]], count: int) -> Callable[[Any], bool | Miss]:
    """Accept these pairs, and name one that is missing or too many."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in answer):
            return Miss("expected a set of pairs of numbers, such as {(0, 2)}", why="")
        got = {(min(pair), max(pair)) for pair in answer}
        if missing := sorted(pairs - got):
            return Miss(f"of {count} checkpoints, {missing[0]} cannot both be true, and the proofs show it")
        if surplus := sorted(got - pairs):
            return Miss(f"of {count} checkpoints, {surplus[0]}: nothing here proves that they cannot both be true")
        return True

    return accept
