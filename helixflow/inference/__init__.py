"""The words that the parts share: who asks, what is asked, of which model, and what came of it.

Nothing here does anything; these are frozen values. What crosses a process border has `to_wire` and
`from_wire`: a tuple of plain values that begins with the version of its shape.
"""
