"""A whole day of platform and stand-in together in seconds: one thread, one virtual clock, one seed."""
