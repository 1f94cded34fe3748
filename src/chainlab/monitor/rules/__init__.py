"""Rule files: read with their lines, checked, and compiled to SQL.

    rule_file     the YAML documents of a file, and the mistakes in them
    keys          what an alert shows to a person, and the kit's own keys
    conditions    event types and fields that a rule asks about
    correlations  rules that count or order the events of others
    compiler      all checks, then pySigma, then SQLite

`chainlab.monitor.detections` loads folders of them.
"""
