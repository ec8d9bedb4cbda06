"""The machine interface, /api/v1: what other nodes and the systems of this node's own users ask.

Thin on purpose: an endpoint reads what was asked, passes the same gate and calls the same services and queries as a page, and
answers in JSON. What is refused is told as problem+json (RFC 9457) with the code that a page would show. What one may not see
and what is not there answer alike.

`nodes` is the far end of the line between nodes (docs/reference/protocol.md, section 8): a signed request instead of a
session. `systems` is for programs of organisations at home here: the bearer token of a seat, which may do what the seat may.
`middleware` stands before both: size, rate, the moment of the request, and problem+json for whatever goes wrong further in.
"""
