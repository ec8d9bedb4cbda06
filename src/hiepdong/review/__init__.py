"""The yearly review, computed from the records below: results, regularity, findings, causes, tasks, proposals.

A rebuild computes everything again and keeps what people wrote. Approval freezes the review with a digest.
"""
