"""Dispatches and receipts: what was signed, in whose register, to whom, and what they answered.

A dispatch is an immutable signed document (JWS, alg Ed25519; the bytes are kept as signed). It has a number in the
sender's register of the year and, for each addressee, a sequence number without gaps from that sender to that
addressee. Receipts are signed by the addressee: arrived (automatic), then acknowledged, or returned with a reason.
Replacement and withdrawal are dispatches of their own. Delivered by a transport; other nodes come later.
"""
