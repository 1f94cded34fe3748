"""VEX: statements about vulnerabilities in products, in OpenVEX and CycloneDX.

`statement` holds `VexStatement`; `document` reads both formats and says which statement counts; `openvex` and
`cyclonedx_vex` are the formats.
"""
