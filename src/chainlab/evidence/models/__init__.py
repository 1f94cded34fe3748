"""Models: their formats, unsafe content (`inspection`), signatures (`model_signing`) and ML-BOMs (`mlbom`)."""
