# pins — the workflow named every action by its commit, not by a tag that the action's owner can move.
#
# Facts: evidence[] of kind provenance: actions[].{name, ref, commit}, as the platform resolved them.
# Expected: nothing.
# Undefined never passes: without provenance of this run there are no actions to check, so there has to be one.

package chainlab.rules.pins

import rego.v1

import data.chainlab.evidence

default passed := false

is_pinned(action) if {
	ref := evidence.text(action, "ref")
	regex.match(`^[0-9a-f]{40}$`, ref)
	ref == evidence.text(action, "commit")
}

actions := [action |
	some entry in evidence.builds
	some action in evidence.entries(entry, "actions")
]

passed if {
	count(evidence.builds) > 0
	every entry in evidence.builds {
		is_array(entry.actions)
	}
	every action in actions {
		is_pinned(action)
	}
}

refused contains {"about": evidence.text(action, "name"), "message": message, "hint": "chainlab ci pin FOLDER"} if {
	some action in actions
	not is_pinned(action)
	message := concat("", [evidence.text(action, "name"), "@", evidence.text(action, "ref"), " is not the commit ", evidence.text(action, "commit")])
}

refused contains {"about": evidence.digest, "message": "no provenance of this release says which actions were used", "hint": "see the rules identity and provenance"} if {
	count(evidence.builds) == 0
}

note := sprintf("%d actions, each named by its commit", [count({evidence.text(action, "name") | some action in actions})])

verdict := {"passed": passed, "refused": refused, "note": note}
