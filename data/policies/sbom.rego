# sbom — the bills of materials are valid, list what the platform saw the jobs install, and prod installs nothing else.
#
# Facts: evidence[] of kind SBOM and ML-BOM: problems, components: "name@version" to the SHA-256 of its files;
#   packages[].{id, sha256, jobs}, from the platform's provenance: what the index served, `id` again "name@version";
#   unserved[]: sentences, what the lock would let prod install besides.
# Expected: sbom.{complete, jobs, tools}.
# An SBOM says what its maker wanted to list; what the index served, nobody in the job could leave out.
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

# Asked for what was served alone: a set of all that is listed takes the engine seconds.
listed contains id if {
	some bom in evidence.boms
	components := evidence.at(bom, "components")
	some id in wanted
	is_array(components[id])
}

wanted := {evidence.text(item, "id") | some item in served}

missing := wanted - listed

# The same name and version, and other bytes. A component without hashes does not say which bytes it means.
other := [item |
	some bom in evidence.boms
	components := evidence.at(bom, "components")
	some item in served
	hashes := evidence.entries(components, evidence.text(item, "id"))
	count(hashes) > 0
	not evidence.text(item, "sha256") in hashes
]

share := (count(wanted) - count(missing)) / count(wanted) if count(wanted) > 0

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

refused contains {"about": evidence.digest, "message": "there is no verified SBOM to look at", "hint": "see the rule identity"} if {
	count(evidence.boms) == 0
}

refused contains {"about": evidence.text(bom, "digest"), "message": message, "hint": "chainlab sbom check FILE"} if {
	some bom in evidence.boms
	not bom.problems == []
	message := concat("", ["the ", evidence.text(bom, "kind"), " is not valid CycloneDX: ", concat("; ", array.slice(evidence.texts(bom, "problems"), 0, 3))])
}

refused contains {"about": evidence.digest, "message": "nothing says what was installed: how complete the SBOM is, is unknown", "hint": "let the jobs install from the index"} if {
	count(served) == 0
}

refused contains {"about": evidence.digest, "message": message, "hint": "list what was installed: chainlab sbom build"} if {
	share < data.expected.sbom.complete
	message := concat("", [sprintf("%d", [count(missing)]), " of ", sprintf("%d", [count(wanted)]), " packages that were installed are not listed: ", names])
}

refused contains {"about": evidence.text(item, "sha256"), "message": message, "hint": "find out which of the two was installed"} if {
	some item in other
	message := concat("", [evidence.text(item, "id"), " is listed with other bytes than were installed"])
}

refused contains {"about": evidence.digest, "message": message, "hint": "build with the lock and the interpreter that prod has"} if {
	some message in evidence.texts(input, "unserved")
}

default note := "nothing was served"

note := sprintf("%d of %d installed packages are listed", [count(wanted) - count(missing), count(wanted)])

verdict := {"passed": passed, "refused": refused, "note": note}
