"""Plants as numbers: pure steps of sun, load, batteries and meters. No clock, no wire, no files.

Signs as on the wire: grid + = import, battery + = charging, PV and load never negative;
load = grid + pv - battery.
"""
