# sbom — the bills of materials are valid, list what the platform saw the jobs install, and prod installs nothing else.
#
# Facts: evidence[] of kind SBOM and ML-BOM: problems, components: "name@version" to the SHA-256 of its files;
#   packages[].{id, sha256, jobs}, from the platform's provenance: what the index served, `id` again "name@version";
#   unserved[]: sentences, what the lock would let prod install besides.
# Expected: sbom.{complete, jobs, tools}.
# An SBOM's author chooses what it lists; nobody in a job can hide what the index served to it.
# Undefined never passes: a share of nothing is not 100 %, so something must have been served.

package chainlab.rules.sbom

import rego.v1

import data.chainlab.evidence

default passed := false

served := [item |
	some item in evidence.entries(input, "packages")
	count([job | some job in evidence.entries(item, "jobs"); job in data.expected.sbom.jobs]) > 0
	not evidence.text(item, "name") in data.expected.sbom.tools
]

# Only of what was served: a set of everything that is listed takes the engine seconds.
listed contains id if {
	some bom in evidence.boms
	components := evidence.at(bom, "components")
	some id in installed
	is_array(components[id])
}

installed := {evidence.text(item, "id") | some item in served}

missing := installed - listed

# Listed with the same name and version, but other bytes. A component without hashes does not say which it means.
other := [item |
	some bom in evidence.boms
	components := evidence.at(bom, "components")
	some item in served
	hashes := evidence.entries(components, evidence.text(item, "id"))
	count(hashes) > 0
	not evidence.text(item, "sha256") in hashes
]

share := (count(installed) - count(missing)) / count(installed) if count(installed) > 0

passed if {
	count(evidence.boms) > 0
	every bom in evidence.boms {
		bom.problems == []
	}
	share >= data.expected.sbom.complete
	count(other) == 0
	input.unserved == []
}

names := concat(", ", array.slice(sort([id | some id in missing]), 0, 5))

refused contains {"about": evidence.digest, "message": "there is no verified SBOM", "hint": "see the rule identity"} if {
	count(evidence.boms) == 0
}

refused contains {"about": evidence.text(bom, "digest"), "message": message, "hint": "chainlab sbom check FILE"} if {
	some bom in evidence.boms
	not bom.problems == []
	message := concat("", ["the ", evidence.text(bom, "kind"), " is not valid CycloneDX: ", concat("; ", array.slice(evidence.texts(bom, "problems"), 0, 3))])
}

refused contains {"about": evidence.digest, "message": "nothing says what was installed, so nobody knows how complete the SBOM is", "hint": "let the jobs install from the index"} if {
	count(served) == 0
}

refused contains {"about": evidence.digest, "message": message, "hint": "list what was installed: chainlab sbom build"} if {
	share < data.expected.sbom.complete
	message := concat("", [sprintf("%d", [count(missing)]), " of ", sprintf("%d", [count(installed)]), " packages that were installed are not listed: ", names])
}

refused contains {"about": evidence.text(item, "sha256"), "message": message, "hint": "find out which of the two was installed"} if {
	some item in other
	message := concat("", [evidence.text(item, "id"), " is listed with other bytes than were installed"])
}

refused contains {"about": evidence.digest, "message": message, "hint": "build with the lock and the interpreter that prod has"} if {
	some message in evidence.texts(input, "unserved")
}

default note := "nothing was served"

note := sprintf("%d of %d installed packages are listed", [count(installed) - count(missing), count(installed)])

verdict := {"passed": passed, "refused": refused, "note": note}
