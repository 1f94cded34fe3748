"""Attacks on what a release is made from: tags, dependencies, tokens of jobs."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.ci.git.refs import NO_COMMIT
from chainlab.monitor.histories.organisation import DAY, HOUR, MINUTE
from chainlab.monitor.histories.scene import Scene, Way

__all__ = ["ON_SOURCES"]


def _push(scene: Scene, repository: str, ref: str, at: float, *, new: str = "", batch: int = 1) -> int:
    return scene.journal.add(
        at, "change.pushed", repository, ref=ref, new=new or scene.hex(40), who="bot-with-stolen-token", batch=batch
    )


def _tags(scene: Scene, count: int, *, age: float) -> tuple[str, list[str], float]:
    """Choose a repository with tags of this age; returns it, its tags and the moment of the attack."""
    at = scene.at_any_time()
    repository = f"{scene.organisation.name}/tool-{scene.hex(6)}"
    tags = [f"refs/tags/v{number // 10}.{number % 10}.0" for number in range(count)]
    for tag in tags:
        _push(scene, repository, tag, at - age, batch=0)
    return repository, tags, at


def _old_tag(scene: Scene) -> list[int]:
    repository, (tag,), at = _tags(scene, 1, age=scene.rng.uniform(2, 300) * DAY)
    return [_push(scene, repository, tag, at)]


def _young_tag(scene: Scene) -> list[int]:  # evades: an owner's re-tag looks like that
    repository, (tag,), at = _tags(scene, 1, age=scene.rng.uniform(2, 50) * MINUTE)
    return [_push(scene, repository, tag, at)]


def _deleted_and_set_again(scene: Scene) -> list[int]:
    repository, (tag,), at = _tags(scene, 1, age=scene.rng.uniform(2, 300) * DAY)
    return [_push(scene, repository, tag, at, new=NO_COMMIT), _push(scene, repository, tag, at + 30)]


def _all_tags(scene: Scene) -> list[int]:
    count = 6 + min(70, round(scene.rng.expovariate(1 / 15)))
    repository, tags, at = _tags(scene, count, age=scene.rng.uniform(20, 300) * DAY)
    return [_push(scene, repository, tag, at, batch=count) for tag in tags]


def _several_pushes(scene: Scene) -> list[int]:
    repository, tags, at = _tags(scene, scene.rng.randint(6, 12), age=scene.rng.uniform(20, 300) * DAY)
    return [_push(scene, repository, tag, at + 40 * number) for number, tag in enumerate(tags)]


def _one_tag_after_another(scene: Scene) -> list[int]:  # evades: slower than the window
    repository, tags, at = _tags(scene, scene.rng.randint(6, 12), age=scene.rng.uniform(20, 300) * DAY)
    return [_push(scene, repository, tag, at + 11 * MINUTE * number) for number, tag in enumerate(tags)]


def _few_tags(scene: Scene) -> list[int]:  # evades
    repository, tags, at = _tags(scene, scene.rng.randint(2, 4), age=scene.rng.uniform(20, 300) * DAY)
    return [_push(scene, repository, tag, at, batch=len(tags)) for tag in tags]


def _install(scene: Scene, age: float, origin: str = "upstream") -> list[int]:
    package, version = (
        scene.rng.choice(scene.organisation.packages),
        f"{scene.rng.randrange(9)}.9.{scene.rng.randrange(9)}",
    )
    return [
        scene.journal.add(
            scene.at_any_time(),
            "artifact.served",
            scene.digest(),
            run=scene.run(scene.victim()),
            job="build",
            project=package,
            version=version,
            file=f"{package.replace('-', '_')}-{version}.tar.gz",
            age_s=round(age),
            origin=origin,
        )
    ]


def _minutes_after_upload(scene: Scene) -> list[int]:
    return _install(scene, scene.rng.expovariate(1 / (3 * HOUR)))


def _patient(scene: Scene) -> list[int]:  # evades: the version waits until it is old enough
    return _install(scene, scene.rng.uniform(3.1, 40) * DAY)


def _through_our_index(scene: Scene) -> list[int]:  # evades: own files have no cooldown
    return _install(scene, scene.rng.uniform(1, 24) * HOUR, "internal")


def _compared(scene: Scene, **lists: list[str]) -> list[int]:
    nothing: dict[str, list[str]] = {"added": [], "added_transitive": [], "changed": [], "rehashed": []}
    return [
        scene.journal.add(
            scene.at_any_time(),
            "dependencies.compared",
            scene.digest(),
            name=scene.victim().name,
            before=scene.digest(),
            **(nothing | lists),
        )
    ]


def _new_package(scene: Scene) -> list[int]:
    purl = f"pkg:pypi/{scene.rng.choice(scene.organisation.packages)}-{scene.hex(4)}@0.1.1"
    return _compared(scene, added=[purl], added_transitive=[purl])


def _new_version(scene: Scene) -> list[int]:  # evades: the name was there before
    return _compared(scene, changed=[scene.rng.choice(scene.organisation.packages)])


def _other_bytes(scene: Scene) -> list[int]:  # evades: the version, too
    return _compared(scene, rehashed=[scene.rng.choice(scene.organisation.packages)])


def _token(scene: Scene, type: str, *, outside: bool, **facts: str) -> list[int]:
    run = scene.run(scene.victim())
    return [
        scene.journal.add(
            scene.at_any_time(),
            type,
            f"{run}/jobs/publish",
            token=scene.hex(12),
            run=run,
            service=scene.rng.choice(("index", "oci", "git")),
            outside=outside,
            **facts,
        )
    ]


def _from_elsewhere(scene: Scene) -> list[int]:
    return _token(scene, "token.used", outside=True)


def _after_the_job(scene: Scene) -> list[int]:
    return _token(scene, "token.refused", outside=True, reason="job ended")


def _by_a_step_of_the_job(scene: Scene) -> list[int]:  # evades
    return _token(scene, "token.used", outside=False)


ON_SOURCES: Mapping[str, tuple[Way, ...]] = {
    "tag_moved": (Way(0.55, _old_tag), Way(0.25, _young_tag), Way(0.2, _deleted_and_set_again)),
    "many_tags_moved": (
        Way(0.5, _all_tags),
        Way(0.25, _several_pushes),
        Way(0.15, _one_tag_after_another),
        Way(0.1, _few_tags),
    ),
    "installed_before_cooldown": (
        Way(0.7, _minutes_after_upload),
        Way(0.2, _patient),
        Way(0.1, _through_our_index),
    ),
    "new_transitive_dependency": (Way(0.6, _new_package), Way(0.25, _new_version), Way(0.15, _other_bytes)),
    "token_outside_its_job": (
        Way(0.45, _from_elsewhere),
        Way(0.25, _after_the_job),
        Way(0.3, _by_a_step_of_the_job),
    ),
}
