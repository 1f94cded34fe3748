# What the rules share: the evidence that counts, and functions that read facts of any type.
#
# Only what Python verified counts: `verified` must be true, not merely present. Of an unverified statement the facts
# hold only {"verified": false, "why": …}.
#
# In Rego an expression over something that is missing is *undefined*: neither true nor false. `not` turns undefined
# into true, and a rule that only lists what is wrong finds nothing wrong in empty facts. So:
#   - each rule says `default passed := false` and proves what it wants to see, with a count above zero where it says
#     `every`, which holds for an empty list;
#   - a rule of its own asks for what may be missing, because engines differ in how they read a call inside `not`;
#   - `text`, `texts`, `number`, `entries` and `at` give a value of one type, whatever the fact is.
# Collections of objects are arrays, not sets: regopy compares each new member of a set with all others.
# `concat` joins texts: the `sprintf` of regopy 1.5.2 shows some of them with quotation marks.

package chainlab.evidence

import rego.v1

# -- reading

text(thing, name) := value if {
	is_object(thing)
	value := object.get(thing, name, null)
	is_string(value)
	value != ""
} else := "nothing"

# -1, below any threshold, when the value is not a number.
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

# Statements of one kind about one file, signed by the workflow at the tag of this version.
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

# The runs that pushed this manifest: several when an older run made the same bytes.
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
