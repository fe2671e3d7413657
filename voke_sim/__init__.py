"""A stand-in for Voke: it pulls the reverse channel, judges signed commands, runs modelled plants, and
misbehaves on request. It shares `vcp` (the wire) and `membroker` with the platform, and nothing else.
"""
