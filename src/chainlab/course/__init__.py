"""The course: what its authors write, what its learners do, and the cases of its exercises.

syllabus             course.toml as values
authoring/           the author's side: lessons become notebooks, labs and solutions
learning/            the learner's side: checks, hints, progress
exercises/           the cases of exercise N.M: weekN/exM_*.py
cases                what a case is, and when its reason is told
plain_data           answers as plain data, compared
learner_code         the learner's own line that failed
learner_copies       the copies of the course's files that JupyterLab shows
saved_lab            a check of a whole lab, from its saved notebook
project_states       the project under attack: weak, hardened, attested
exfiltration_sink    the attacker's server, on loopback
"""
