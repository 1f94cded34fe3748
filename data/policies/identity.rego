# identity — each statement that a release needs is there, from the expected signer, for this version and source.
#
# Facts: evidence[].{verified, kind, about, signer, why}, release.annotations, release.layers.
# Expected: source, signers.workflow, statements[].{name, about}, builder.
# Whoever pushed the manifest wrote its annotations: they count because the platform's provenance agrees with them.
# Undefined never passes: `every` holds for an empty list, so at least one layer has to need a statement.

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
	every need in needed {
		count(evidence.of(need[0], need[2])) > 0
	}
	every statement in [s | some s in data.expected.statements; count(object.get(s, "about", [])) > 0] {
		statement.name in {need[0] | some need in needed}
	}
}

refused contains {"about": need[2], "message": message, "hint": "let the release workflow of this version sign it again"} if {
	some need in needed
	count(evidence.of(need[0], need[2])) == 0
	message := concat("", ["no ", need[0], " of ", need[1], " signed by ", evidence.workflow, reasons(need[0])])
}

refused contains {"about": evidence.digest, "message": message, "hint": "build from the repository that the policy names, and annotate it"} if {
	source := evidence.source
	source != data.expected.source.repository
	message := concat("", ["the manifest states source ", source, ", expected ", data.expected.source.repository])
}

refused contains {"about": evidence.digest, "message": message, "hint": "release from the tag of the version; compare version and revision of the manifest with the provenance"} if {
	count(evidence.runs) == 0
	message := concat("", ["no provenance says that ", data.expected.source.repository, " at ", evidence.ref, ", commit ", evidence.annotation("revision"), ", made this manifest", reasons("provenance")])
}

refused contains {"about": evidence.digest, "message": message, "hint": "a release holds one file of each kind that needs a statement"} if {
	some statement in data.expected.statements
	count(object.get(statement, "about", [])) > 0
	not statement.name in {need[0] | some need in needed}
	message := concat("", ["the file that needs a statement is missing: ", statement.name])
}

# Why statements of a kind did not count. The kind of an unverified one is unreliable, so "nothing" is listed too.
reasons(kind) := message if {
	whys := sort([evidence.text(entry, "why") |
		some entry in evidence.unverified
		evidence.text(entry, "kind") in {kind, "nothing"}
	])
	count(whys) > 0
	message := concat("", ["; these do not count: ", concat("; ", array.slice(whys, 0, 3))])
} else := "; there is none"

note := concat("", [evidence.source, " at ", evidence.ref, ", commit ", evidence.annotation("revision")])

verdict := {"passed": passed, "refused": refused, "note": note}
