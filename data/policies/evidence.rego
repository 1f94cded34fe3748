# What the rules share: the evidence that counts, and reading facts whose type nobody promised.
#
# Only what Python verified counts: `verified` must be true, and not merely present. An unverified statement is in the
# facts as {"verified": false, "why": …} and says nothing but that.
#
# In Rego an expression over something that is missing is *undefined*: neither true nor false. `not` turns undefined
# into true, and a rule that only lists what is wrong finds nothing wrong in empty facts. So:
#   - each rule says `default passed := false` and proves what it wants to see, with a count above zero where it says
#     `every`, which holds for an empty list;
#   - what is missing is asked for by a rule of its own, because a call inside `not` is read differently by engines;
#   - `text`, `texts`, `number`, `entries` and `at` give a value of one type whatever was there.
# Collections of objects are arrays, not sets: regopy compares each new member with all that are there.
# Texts are joined by `concat`: the `sprintf` of regopy 1.5.2 shows some of them with their quotation marks.

package chainlab.evidence

import rego.v1

# -- reading

text(thing, name) := value if {
	is_object(thing)
	value := object.get(thing, name, null)
	is_string(value)
	value != ""
} else := "nothing"

# Below any threshold, whatever was there instead of a number.
number(thing, name) := value if {
	is_object(thing)
	value := object.get(thing, name, null)
	is_number(value)
} else := -1

entries(thing, name) := value if {
	is_object(thing)
	value := object.get(thing, name, null)
	is_array(value)
} else := []

texts(thing, name) := [text |
	some text in entries(thing, name)
	is_string(text)
]

at(thing, name) := value if {
	is_object(thing)
	value := object.get(thing, name, null)
	is_object(value)
} else := {}

# -- the release

release := at(input, "release")

digest := text(release, "digest")

layers := entries(release, "layers")

annotation(name) := text(at(release, "annotations"), concat("", ["org.opencontainers.image.", name]))

source := trim_prefix(annotation("source"), "git+")

# The ref that this version is built from, and the name that its workflow signs with.
ref := concat("", [data.expected.source.ref, annotation("version")])

workflow := concat("@", [data.expected.signers.workflow.identity, ref])

ends_with(name, ends) if {
	some end in ends
	endswith(name, end)
}

# -- statements

verified := [entry |
	some entry in entries(input, "evidence")
	is_verified(entry)
]

unverified := [entry |
	some entry in entries(input, "evidence")
	not is_verified(entry)
]

is_verified(entry) if {
	is_object(entry)
	entry.verified == true
}

provenance := [entry |
	some entry in verified
	entry.kind == "provenance"
]

# Statements of one kind about one file, which the workflow of this very version signed.
of(kind, about) := [entry |
	some entry in verified
	entry.kind == kind
	about in entries(entry, "about")
	entry.signer == workflow
]

boms := [entry |
	some layer in layers
	some kind in ["SBOM", "ML-BOM"]
	some entry in of(kind, text(layer, "digest"))
]

# Provenance of the run that pushed this manifest. An older run may have made the same bytes: then there are several.
runs contains text(entry, "run") if {
	some entry in provenance
	entry.job == data.expected.builder.publishes
	digest in entries(entry, "about")
	expected_build(entry)
}

expected_build(entry) if {
	entry.builder == data.expected.builder.id
	entry.build_type == data.expected.builder.build_type
	entry.repository == data.expected.source.repository
	entry.workflow_repository == data.expected.source.repository
	entry.workflow_path == data.expected.builder.workflow
	entry.ref == ref
	entry.workflow_ref == ref
	entry.commit == annotation("revision")
	entry.fork == false
	entry.result == "success"
	entry.unknown_parameters == []
}

builds := [entry |
	some entry in provenance
	text(entry, "run") in runs
	expected_build(entry)
]
