"""The gate: Python verifies the facts, Rego rules decide, and a signed summary records the verdict.

`gate` is the way in. `facts` makes the document that the rules judge, `rego` evaluates the rules of ``data/policies``,
`vsa` builds, signs and verifies the summary.
"""
