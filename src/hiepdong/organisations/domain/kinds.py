"""Kinds of organisations, as data files write them; `organisations.models.Kind` holds the same values."""

ORGANISATION_KINDS = [
    "party_province",
    "party_district",
    "party_commune",
    "peoples_committee_province",
    "peoples_committee_district",
    "peoples_committee_commune",
    "border_guard_party",
    "border_guard_command",
    "border_station",
    "border_gate_command",
    "sea_squadron",
    "military_command",
    "department",
    "ministry",
    "government",
    "foreign_counterpart",
    "other",
]
