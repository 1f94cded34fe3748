"""Attacks on publications: stolen tokens, taken-over runs, files that no source has."""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.monitor.histories.organisation import HOUR, MINUTE, ReleasedProject
from chainlab.monitor.histories.scene import Scene, Way

__all__ = ["ON_RELEASES"]


# -- which run is behind a publication


def _token_at_night(scene: Scene) -> list[int]:
    return [scene.upload(scene.victim(), scene.at_night())]


def _token_in_office_hours(scene: Scene) -> list[int]:
    return [scene.upload(scene.victim(), scene.in_office_hours(), by="release-manager-1")]


def _token_inside_a_run_of_mine(scene: Scene) -> list[int]:  # evades: there is a run behind it
    project, at = scene.victim(), scene.at_any_time()
    act, run = scene.upload_by_run(project, at, attested=False, identity=None)
    scene.end_run(project, run, at + 60, "success")
    return [act]


def _from_a_run_that_failed(scene: Scene) -> list[int]:
    project, at = scene.victim(), scene.at_any_time()
    act, run = scene.upload_by_run(project, at, run_failed=True)
    return [act, scene.end_run(project, run, at + 90, "failure")]


def _then_the_run_fails(scene: Scene) -> list[int]:
    project, at = scene.victim(), scene.at_any_time()
    act, run = scene.upload_by_run(project, at)
    return [act, scene.end_run(project, run, at + scene.rng.uniform(1, 20) * MINUTE, "failure")]


def _then_the_run_fails_late(scene: Scene) -> list[int]:  # evades: after the window of an hour
    project, at = scene.victim(), scene.at_any_time()
    act, run = scene.upload_by_run(project, at)
    return [act, scene.end_run(project, run, at + scene.rng.uniform(1.2, 6) * HOUR, "failure")]


def _from_a_run_that_succeeds(scene: Scene) -> list[int]:  # evades
    project, at = scene.victim(), scene.at_any_time()
    act, run = scene.upload_by_run(project, at)
    return [act, scene.end_run(project, run, at + 2 * MINUTE, "success")]


# -- who signed it


def _after_a_release(scene: Scene, *, attested: bool = True) -> tuple[ReleasedProject, float]:
    """Choose a project and a moment hours after a release as its workflow makes it."""
    project, at = scene.victim(attested=attested), scene.at_any_time()
    scene.upload_by_run(project, at - scene.rng.uniform(1, 20) * HOUR)
    return project, at


def _without_attestation(scene: Scene) -> list[int]:
    return [scene.upload(*_after_a_release(scene))]


def _where_nothing_was_attested(scene: Scene) -> list[int]:  # evades
    return [scene.upload(*_after_a_release(scene, attested=False))]


def _attested_by_the_real_workflow(scene: Scene) -> list[int]:  # evades: the workflow itself was taken over
    return [scene.upload_by_run(scene.victim(), scene.at_any_time())[0]]


def _signed_by_another_workflow(scene: Scene) -> list[int]:
    project, at = _after_a_release(scene)
    identity = f"{project.repository}/.github/workflows/format.yml"
    return [scene.upload_by_run(project, at, attested=True, identity=identity)[0]]


def _signed_by_a_fork(scene: Scene) -> list[int]:
    project, at = _after_a_release(scene)
    identity = f"outsider/{project.name}/{project.workflow}"
    return [scene.upload_by_run(project, at, attested=True, identity=identity)[0]]


# -- when


def _at_night(scene: Scene) -> list[int]:
    return [scene.upload_by_run(scene.victim(), scene.at_night())[0]]


def _at_a_weekend(scene: Scene) -> list[int]:
    return [scene.upload_by_run(scene.victim(), scene.at_a_weekend())[0]]


def _in_office_hours(scene: Scene) -> list[int]:  # evades
    return [scene.upload_by_run(scene.victim(), scene.in_office_hours())[0]]


def _versions(scene: Scene, count: int, gap: float) -> list[int]:
    project, at = scene.victim(), scene.at_any_time()
    return [scene.upload(project, at + number * gap) for number in range(count)]


def _two_in_minutes(scene: Scene) -> list[int]:
    return _versions(scene, 2, scene.rng.uniform(1, 8) * MINUTE)


def _five_in_a_row(scene: Scene) -> list[int]:
    return _versions(scene, 5, scene.rng.uniform(5, 60))


def _waits_twelve_minutes(scene: Scene) -> list[int]:  # evades
    return _versions(scene, 2, scene.rng.uniform(12, 50) * MINUTE)


# -- what is in it


def _inspected(
    scene: Scene, *, new: str = "", startup: str = "", changed: str = "", version: str = "", compared: bool = True
) -> list[int]:
    project = scene.victim()
    package = project.name.replace("-", "_")
    version = version or scene.version(project)
    fill = {"package": package, "version": version}
    files: dict[str, list[str]] = {"startup_files": [startup.format(**fill)] if startup else []}
    if compared:
        files["new_files"] = [(startup or new).format(**fill)] if startup or new else []
        files["changed_files"] = [changed.format(**fill)] if changed else []
    return [
        scene.journal.add(
            scene.at_any_time(),
            "artifact.inspected",
            scene.digest(),
            project=project.name,
            version=version,
            compared=compared,
            why=None if compared else "no run and no identity token names its source",
            **files,
        )
    ]


def _one_more_module(scene: Scene) -> list[int]:
    return _inspected(
        scene, new=scene.rng.choice(("{package}/_runtime/start.js", "{package}/utils/cache.py", "{package}/_core.so"))
    )


def _changed_module(scene: Scene) -> list[int]:
    new = scene.rng.choice(("", "{package}/_version.py"))
    return _inspected(scene, new=new, changed="{package}/proxy/server.py")


def _in_the_version_file(scene: Scene) -> list[int]:  # evades: builds write this file, too
    return _inspected(scene, new="{package}/_version.py")


def _no_source_to_compare(scene: Scene) -> list[int]:  # evades
    return _inspected(scene, compared=False)


def _pth(scene: Scene) -> list[int]:
    name = scene.rng.choice(("{package}_init.pth", "{package}-setup.pth", "{package}.pth"))
    return _inspected(scene, startup=name, compared=scene.rng.random() < 0.5)


def _pth_in_a_development_version(scene: Scene) -> list[int]:
    return _inspected(scene, startup="{package}_init.pth", version=f"9.{scene.rng.randrange(90)}.dev1")


def _sitecustomize(scene: Scene) -> list[int]:
    return _inspected(scene, startup=scene.rng.choice(("sitecustomize.py", "usercustomize.py")))


def _pth_like_an_editable_install(scene: Scene) -> list[int]:  # evades, but only as a development version
    version = f"9.{scene.rng.randrange(90)}.{scene.rng.choice(('dev1', '0'))}"
    return _inspected(scene, startup="__editable__.{package}-{version}.pth", version=version)


ON_RELEASES: Mapping[str, tuple[Way, ...]] = {
    "publish_without_run": (
        Way(0.5, _token_at_night),
        Way(0.3, _token_in_office_hours),
        Way(0.2, _token_inside_a_run_of_mine),
    ),
    "publish_from_failed_run": (
        Way(0.6, _from_a_run_that_failed),
        Way(0.2, _then_the_run_fails),
        Way(0.2, _from_a_run_that_succeeds),
    ),
    "run_failed_after_publish": (
        Way(0.6, _then_the_run_fails),
        Way(0.15, _then_the_run_fails_late),
        Way(0.25, _from_a_run_that_succeeds),
    ),
    "attestation_lost": (
        Way(0.65, _without_attestation),
        Way(0.15, _where_nothing_was_attested),
        Way(0.2, _attested_by_the_real_workflow),
    ),
    "identity_changed": (
        Way(0.45, _signed_by_another_workflow),
        Way(0.25, _signed_by_a_fork),
        Way(0.3, _attested_by_the_real_workflow),
    ),
    "release_off_hours": (Way(0.45, _at_night), Way(0.25, _at_a_weekend), Way(0.3, _in_office_hours)),
    "two_versions_within_minutes": (
        Way(0.5, _two_in_minutes),
        Way(0.2, _five_in_a_row),
        Way(0.3, _waits_twelve_minutes),
    ),
    "file_not_in_source": (
        Way(0.4, _one_more_module),
        Way(0.25, _changed_module),
        Way(0.2, _in_the_version_file),
        Way(0.15, _no_source_to_compare),
    ),
    "startup_file_in_wheel": (
        Way(0.55, _pth),
        Way(0.15, _pth_in_a_development_version),
        Way(0.15, _sitecustomize),
        Way(0.15, _pth_like_an_editable_install),
    ),
}
