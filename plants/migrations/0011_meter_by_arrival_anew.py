"""The index that finds the meter rows of the last minutes summarises new pages by itself.

Without that it waits for a vacuum, which comes to a day's partition after it has grown by a fifth: until then all rows
since are read each time. The option of a partitioned index can't be changed, so it is made anew; meter rows can be read
and not written meanwhile. Nothing on SQLite.
"""

from django.db import migrations

DROP = "DROP INDEX meter_by_arrival"
MAKE = "CREATE INDEX meter_by_arrival ON plants_meterreading USING brin (received_at)"
ANEW = f"{MAKE} WITH (pages_per_range = 32, autosummarize = on)"


def forward(apps, schema_editor):
    _execute(schema_editor, (DROP, ANEW))


def back(apps, schema_editor):
    _execute(schema_editor, (DROP, MAKE))


def _execute(schema_editor, statements):
    if schema_editor.connection.vendor == "postgresql":
        for statement in statements:
            schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("plants", "0010_cheap_writes")]
    operations = [migrations.RunPython(forward, back)]
