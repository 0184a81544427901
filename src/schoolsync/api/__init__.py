"""The API of our own, below `/schoolsync/v1`: runs, findings, plans, approvals, settings, explanations.

A face: it checks what a request says, asks a service and shapes the answer. `routes` has every operation; the tokens,
the errors and the layer in front are those of the Graph face.
"""
