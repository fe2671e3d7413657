"""Which order is in force at a site, and what it asks of the plant: pure functions of state and time."""
