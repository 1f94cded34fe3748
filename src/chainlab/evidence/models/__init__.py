"""Models: formats, unsafe content, signatures (OMS) and ML-BOMs."""
