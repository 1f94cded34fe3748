# model — each model is signed as a model, and its format runs no code when it is loaded.
#
# Facts: models[].{name, digest, format, code_on_load, passed, why}, by content; `passed` is the scan's result;
#   evidence[] of kind model signature.
# Expected: model.{formats, ends}.
# Undefined never passes: `code_on_load` has to be "no"; "partly", "yes" and a missing value refuse.

package chainlab.rules.model

import rego.v1

import data.chainlab.evidence

default passed := false

models := evidence.entries(input, "models")

is_safe(model) if {
	model.format in data.expected.model.formats
	model.code_on_load == "no"
	model.passed == true
}

is_signed(model) if count(evidence.of("model signature", evidence.text(model, "digest"))) > 0

needed contains evidence.text(layer, "digest") if {
	some layer in evidence.layers
	evidence.ends_with(evidence.text(layer, "name"), data.expected.model.ends)
}

passed if {
	count(needed) > 0
	count(needed - {evidence.text(model, "digest") | some model in models}) == 0
	every model in models {
		is_safe(model)
		is_signed(model)
	}
}

refused contains {"about": evidence.text(model, "digest"), "message": message, "hint": "export the model to a format without code, such as ONNX or safetensors"} if {
	some model in models
	not is_safe(model)
	message := concat("", [evidence.text(model, "name"), " is ", evidence.text(model, "format"), " (", evidence.text(model, "why"), ")"])
}

refused contains {"about": evidence.text(model, "digest"), "message": message, "hint": "sign the model in the job that trained it"} if {
	some model in models
	not is_signed(model)
	message := concat("", [evidence.text(model, "name"), " has no model signature by ", evidence.workflow])
}

refused contains {"about": digest, "message": "a model was not scanned", "hint": "fix the scan: a model that was not scanned is not known to be safe"} if {
	some digest in needed - {evidence.text(model, "digest") | some model in models}
}

refused contains {"about": evidence.digest, "message": "the release holds no model", "hint": "judge the manifest of a release"} if {
	count(needed) == 0
}

note := concat("", [concat(", ", sort([concat("", [evidence.text(model, "name"), " is ", evidence.text(model, "format")]) | some model in models])), ", signed"])

verdict := {"passed": passed, "refused": refused, "note": note}
