"""The learner's side: checks of answers, hints and progress.

checks             an answer called on the cases of its exercise
results            right, wrong, not attempted: as text and HTML
case_arguments     the arguments of one case, to try an answer on
hints              hints, one at a time
solution_reasons   why a solution works
predictions        guesses at an output
deliverables       documents to hand in
diagnostic         the readiness test
progress           the progress file
progress_board     the progress of all exercises
notebook_pages     markdown cells and anchors of a notebook file
"""
