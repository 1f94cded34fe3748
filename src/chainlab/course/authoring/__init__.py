"""The author's side: lessons become notebooks, labs and solutions, and keep to the rules.

lesson_source      lessons/*.py, read into cells that know their line
lesson_rules       what a lesson and its exercises must have
cell_rules         what a cell may contain
notebook, links    the notebook derived from a lesson
build              derived files: write them, compare them, store their outputs
execution          a notebook run in its own kernel, and stable outputs
lint               starters fail, solutions pass, wrong answers fail at their case
mutation_testing/  changed solutions that a check should refuse
replay             all notebooks run again, with a strict verdict
checksums          data/SHA256SUMS
week_table         the README's table of weeks
"""
