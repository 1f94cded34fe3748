"""The facts about a release, as the gate's rules get them: read, verified, then written as one JSON document.

    1  read           `registry.releases`: the release and its files, as the registry has them now
    2  verify         `verification`: each bundle about the release, against the signers that the policy names
       look up        `scans`: what the gate finds out itself: packages, advisories, model formats
    3  what Rego sees `document`: all of this as `input` of the rules; `predicates` makes a statement's part of it

`facts_client` has these steps run in a process of its own, whose program is `facts_process`.

To give the rules a new fact, such as a component's licence: add it in `predicates` when a signed statement says it, in
`scans` when the gate looks it up. ``chainlab gate REFERENCE --facts`` shows the document. ``data/policies/gate.rego``
tells how to write the rule.
"""
