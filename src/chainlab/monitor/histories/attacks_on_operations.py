"""Attacks on what watches and what runs: evidence, the gate, the log, the service; and exceptions that nobody ends."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.monitor.histories.organisation import DAY, MINUTE
from chainlab.monitor.histories.scene import Scene, Way

__all__ = ["ON_OPERATIONS"]

REFERENCE = "registry/service@{}"


def _exception(scene: Scene, days: float) -> list[int]:
    digest = scene.digest()
    return [
        scene.journal.add(
            scene.in_office_hours(),
            "gate.answered",
            digest,
            reference=REFERENCE.format(digest),
            allowed=True,
            refused=[],
            excepted=["vulnerabilities"],
            exception_ends_s=round(days * DAY),
            policy=scene.digest(),
            seconds=1.5,
        )
    ]


def _ends_this_week(scene: Scene) -> list[int]:
    return _exception(scene, scene.rng.uniform(0.2, 6.8))


def _not_judged_in_its_last_week(scene: Scene) -> list[int]:  # evades: no verdict, no event
    return _exception(scene, scene.rng.uniform(7.5, 20))


def _removed(scene: Scene, kind: str, *, counted: bool, **facts: str) -> list[int]:
    return [
        scene.journal.add(
            scene.at_any_time(),
            f"artifact.{kind}",
            scene.digest(),
            counted=counted,
            by="owner-with-stolen-token",
            **facts,
        )
    ]


def _deletes_evidence(scene: Scene) -> list[int]:
    return _removed(scene, "deleted", counted=True, repository=scene.victim().repository)


def _quarantines_evidence(scene: Scene) -> list[int]:
    return _removed(scene, "quarantined", counted=True, reason="out of date")


def _deletes_before_it_counts(scene: Scene) -> list[int]:  # evades: no verdict rests on it yet
    return _removed(scene, "deleted", counted=False, repository=scene.victim().repository)


def _silence(scene: Scene, part: str, minutes: float, *, every: float = 1.0) -> list[int]:
    """Let a part not answer for some minutes, and answer again."""
    at = scene.between_beats()
    scene.journal.add(at - 20, "monitor.heartbeat", part, answered=True, seconds=0.02)
    acts, minute = [], 0.0
    while minute < minutes:
        acts.append(scene.journal.add(at + minute * MINUTE, "monitor.heartbeat", part, answered=False, seconds=5.0))
        minute += every
    scene.journal.add(at + minutes * MINUTE + 30, "monitor.heartbeat", part, answered=True, seconds=0.02)
    return acts


def _gate_down(scene: Scene) -> list[int]:
    return _silence(scene, "gate", scene.rng.uniform(7, 40))


def _gate_down_again_and_again(scene: Scene) -> list[int]:  # evades: never long enough
    return _silence(scene, "gate", scene.rng.uniform(2, 4.4))


def _gate_stalls(scene: Scene) -> list[int]:  # evades: it answers, after minutes
    return [scene.journal.add(scene.between_beats(), "monitor.heartbeat", "gate", answered=True, seconds=280.0)]


def _part_down(scene: Scene) -> list[int]:
    return _silence(scene, scene.rng.choice(("index", "log", "service")), scene.rng.uniform(17, 60), every=2.0)


def _part_down_shortly(scene: Scene) -> list[int]:  # evades
    return _silence(scene, scene.rng.choice(("index", "log", "service")), scene.rng.uniform(4, 13), every=2.0)


def _watched(scene: Scene, *, consistent: bool | None, split: bool = False, why: str = "") -> list[int]:
    return [
        scene.journal.add(
            scene.at_any_time(),
            "log.watched",
            f"{scene.organisation.name}.log/1",
            size=scene.rng.randrange(10**4, 10**6),
            entries=0,
            skipped=0,
            consistent=consistent,
            split=split,
            answered=True,
            why=why,
        )
    ]


def _rewrites(scene: Scene) -> list[int]:
    return _watched(scene, consistent=False, why="the tree of this size had another root")


def _rewrote_before_the_first_look(scene: Scene) -> list[int]:  # evades: nothing to compare with
    return _watched(scene, consistent=None)


def _two_faces(scene: Scene) -> list[int]:
    return _watched(scene, consistent=True, split=True, why="another observer has another root of this size")


def _same_face_for_both(scene: Scene) -> list[int]:  # evades: only the victim sees the other one
    return _watched(scene, consistent=True)


def _signed(scene: Scene, identity: str, *, expected: bool) -> list[int]:
    return [
        scene.journal.add(
            scene.at_any_time(),
            "log.identity",
            identity,
            log=f"{scene.organisation.name}.log/1",
            index=scene.rng.randrange(10**6),
            issuer="https://issuer.localhost",
            workflow=identity,
            commit=scene.hex(40),
            expected=expected,
        )
    ]


def _unknown_repository(scene: Scene) -> list[int]:
    return _signed(scene, f"{scene.organisation.name}/{scene.hex(6)}/.github/workflows/release.yml", expected=False)


def _unknown_workflow(scene: Scene) -> list[int]:
    return _signed(scene, f"{scene.victim().repository}/.github/workflows/format.yml", expected=False)


def _real_workflow(scene: Scene) -> list[int]:  # evades
    return _signed(scene, scene.victim().identity, expected=True)


def _behaved(scene: Scene, action: str, target: str, phase: str, *, expected: bool = False) -> list[int]:
    digest = scene.digest()
    return [
        scene.journal.add(
            scene.at_any_time(),
            "service.behaved",
            digest,
            reference=REFERENCE.format(digest),
            action=action,
            target=target,
            expected=expected,
            phase=phase,
        )
    ]


def _starts_a_process(scene: Scene) -> list[int]:
    return _behaved(scene, "process", "/bin/sh", scene.rng.choice(("startup", "load")))


def _connects(scene: Scene) -> list[int]:
    return _behaved(scene, "connect", "192.0.2.7:443", scene.rng.choice(("load", "serving")))


def _reads_keys(scene: Scene) -> list[int]:
    return _behaved(scene, "read", "~/.ssh/id_ed25519", "serving")


def _below_the_hook(scene: Scene) -> list[int]:  # evades: native code calls the kernel, the hook sees the model's load
    return _behaved(scene, "load", "model.safetensors", "load", expected=True)


def _reverified(scene: Scene, cause: str, why: str) -> list[int]:
    digest = scene.digest()
    return [
        scene.journal.add(
            scene.at_any_time(),
            "service.reverified",
            digest,
            reference=REFERENCE.format(digest),
            verified=False,
            cause=cause,
            why=why,
            action="reported",
        )
    ]


def _revoked(scene: Scene) -> list[int]:
    return _reverified(scene, "revoked", "its verdict was revoked")


def _other_bytes(scene: Scene) -> list[int]:
    return _reverified(scene, "bytes", "an installed file differs from its wheel")


def _advisory(scene: Scene) -> list[int]:
    return _reverified(scene, "advisory", "an advisory appeared")


def _verifier_cut_off(scene: Scene) -> list[int]:  # evades: looks like an outage
    return _reverified(scene, "unreachable", "the registry does not answer")


ON_OPERATIONS: Mapping[str, tuple[Way, ...]] = {
    "exception_about_to_expire": (Way(0.7, _ends_this_week), Way(0.3, _not_judged_in_its_last_week)),
    "counted_evidence_removed": (
        Way(0.5, _deletes_evidence),
        Way(0.25, _quarantines_evidence),
        Way(0.25, _deletes_before_it_counts),
    ),
    "gate_stopped_answering": (
        Way(0.7, _gate_down),
        Way(0.15, _gate_down_again_and_again),
        Way(0.15, _gate_stalls),
    ),
    "heartbeat_missing": (Way(0.8, _part_down), Way(0.2, _part_down_shortly)),
    "log_inconsistent": (Way(0.8, _rewrites), Way(0.2, _rewrote_before_the_first_look)),
    "log_split_view": (Way(0.7, _two_faces), Way(0.3, _same_face_for_both)),
    "unexpected_identity_in_log": (
        Way(0.5, _unknown_repository),
        Way(0.25, _unknown_workflow),
        Way(0.25, _real_workflow),
    ),
    "service_unexpected_behaviour": (
        Way(0.35, _starts_a_process),
        Way(0.3, _connects),
        Way(0.1, _reads_keys),
        Way(0.25, _below_the_hook),
    ),
    "service_no_longer_verified": (
        Way(0.4, _revoked),
        Way(0.3, _other_bytes),
        Way(0.1, _advisory),
        Way(0.2, _verifier_cut_off),
    ),
}
