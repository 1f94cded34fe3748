# identity — each statement that a release needs is there, by whom it is expected from, for this version and source.
#
# Facts: evidence[].{verified, kind, about, signer, why}, release.annotations, release.layers.
# Expected: source, signers.workflow, statements[].{name, about}, builder.
# The manifest's annotations are a claim of whoever pushed it: they count because the platform's provenance agrees.
# Undefined never passes: `every` holds for an empty list, so the number of layers that need a statement is asked too.

package chainlab.rules.identity

import rego.v1

import data.chainlab.evidence

default passed := false

needed contains [statement.name, layer.name, layer.digest] if {
	some statement in data.expected.statements
	some layer in evidence.layers
	evidence.ends_with(layer.name, statement.about)
}

passed if {
	evidence.source == data.expected.source.repository
	count(evidence.runs) > 0
	count(needed) > 0
	every want in needed {
		count(evidence.of(want[0], want[2])) > 0
	}
	every statement in [s | some s in data.expected.statements; count(object.get(s, "about", [])) > 0] {
		statement.name in {want[0] | some want in needed}
	}
}

refused contains {"about": want[2], "message": message, "hint": "let the release workflow of this version sign it again"} if {
	some want in needed
	count(evidence.of(want[0], want[2])) == 0
	message := concat("", ["no ", want[0], " of ", want[1], " signed by ", evidence.workflow, reasons(want[0])])
}

refused contains {"about": evidence.digest, "message": message, "hint": "build from the repository that the policy names, and annotate it"} if {
	found := evidence.source
	found != data.expected.source.repository
	message := concat("", ["the manifest states source ", found, ", expected ", data.expected.source.repository])
}

refused contains {"about": evidence.digest, "message": message, "hint": "release from the tag of the version; compare version and revision of the manifest with the provenance"} if {
	count(evidence.runs) == 0
	message := concat("", ["no provenance says that ", data.expected.source.repository, " at ", evidence.ref, ", commit ", evidence.annotation("revision"), ", made this manifest", reasons("provenance")])
}

refused contains {"about": evidence.digest, "message": message, "hint": "a release holds one file of each kind that needs a statement"} if {
	some statement in data.expected.statements
	count(object.get(statement, "about", [])) > 0
	not statement.name in {want[0] | some want in needed}
	message := concat("", ["no layer is one that needs a statement: ", statement.name])
}

# Why statements of a kind did not count. An unverified one does not even say reliably what kind it is.
reasons(kind) := message if {
	found := sort([evidence.text(entry, "why") |
		some entry in evidence.unverified
		evidence.text(entry, "kind") in {kind, "nothing"}
	])
	count(found) > 0
	message := concat("", ["; what is there does not count: ", concat("; ", array.slice(found, 0, 3))])
} else := "; there is none"

note := concat("", [evidence.source, " at ", evidence.ref, ", commit ", evidence.annotation("revision")])

verdict := {"passed": passed, "refused": refused, "note": note}
