"""A small index by time of the roll-ups of all plants: the sum of a fleet's day must not read a whole month.

Roll-ups are written in order of time, so an index of block ranges (BRIN) finds a span of all plants at next to no cost;
what is not summarised yet is read as before. One plant's roll-ups are found by their key. Nothing on SQLite.
"""

from django.db import migrations

TABLES = ("metering_telemetryquarter", "metering_telemetryhour")


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(
                f"CREATE INDEX {table}_by_time ON {table} USING brin (start_at)"
                " WITH (pages_per_range = 32, autosummarize = on)",
                params=None,
            )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table in TABLES:
            schema_editor.execute(f"DROP INDEX {table}_by_time", params=None)


class Migration(migrations.Migration):
    dependencies = [("metering", "0003_meter")]
    operations = [migrations.RunPython(create, drop)]
