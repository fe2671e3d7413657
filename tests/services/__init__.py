"""Private servers for tests: real RabbitMQ over TLS, PostgreSQL and Redis as child processes on free ports.

Nothing here touches a server that already runs on the machine. Each server lives in its own temporary
directory and process group, is stopped by its `close()`, and is cleaned up by the reaper even when the run
itself is killed.
"""
