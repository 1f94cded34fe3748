"""Mutation testing of exercise checks: change a solution in one place at a time, and see which checks notice.

`changes` and `constants` say what may change, `mutants` makes the mutants, `runner` runs an exercise's cases on each,
and `survivors` compares the result with ``lessons/survivors.toml``. The mutants that exercise 2.8 shows to learners are
elsewhere: ``chainlab.course.exercises.fixtures``.
"""
