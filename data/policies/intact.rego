# intact — the bytes are those that the digests name, and none of them is in quarantine.
#
# Facts: release.{artifact_type, intact, quarantined, problems}, release.layers[].{name, digest, intact}.
# Expected: release.artifact_type.
# Undefined never passes: `intact` has to be true, and `quarantined` has to be null; a missing field is neither.

package chainlab.rules.intact

import rego.v1

import data.chainlab.evidence

default passed := false

passed if {
	evidence.release.intact == true
	evidence.release.quarantined == null
	evidence.release.problems == []
	evidence.release.artifact_type == data.expected.release.artifact_type
	count(evidence.layers) > 0
	every layer in evidence.layers {
		layer.intact == true
		layer.name != ""
	}
	count({layer.name | some layer in evidence.layers}) == count(evidence.layers)
}

refused contains {"about": evidence.digest, "message": message, "hint": "release the digest only after somebody has looked into it"} if {
	is_string(evidence.release.quarantined)
	message := concat("", ["in quarantine: ", evidence.text(evidence.release, "quarantined")])
}

refused contains {"about": evidence.digest, "message": message, "hint": "restore the bytes from where they were built, and look for who changed them"} if {
	some message in evidence.texts(evidence.release, "problems")
}

refused contains {"about": evidence.digest, "message": message, "hint": "judge the manifest of a release"} if {
	actual := evidence.text(evidence.release, "artifact_type")
	actual != data.expected.release.artifact_type
	message := concat("", ["the artifact type is ", actual, ", expected ", data.expected.release.artifact_type])
}

refused contains {"about": evidence.text(layer, "digest"), "message": message, "hint": "push the file again"} if {
	some layer in evidence.layers
	not layer.intact == true
	message := concat("", [evidence.text(layer, "name"), ": its bytes are not those that the digest names"])
}

refused contains {"about": evidence.digest, "message": "two layers have one name, or a layer has none", "hint": "give each layer its title"} if {
	count({evidence.text(layer, "name") | some layer in evidence.layers}) != count(evidence.layers)
}

refused contains {"about": evidence.digest, "message": "the release has no layer", "hint": "judge the manifest of a release"} if {
	count(evidence.layers) == 0
}

note := sprintf("%d layers, all as their digests say", [count(evidence.layers)])

verdict := {"passed": passed, "refused": refused, "note": note}
