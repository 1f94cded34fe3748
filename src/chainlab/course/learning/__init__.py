"""The learner's side: checks of answers, hints, progress and its board."""
