"""Pages of the outbox keep room: an attempt is written into the row that waits, and then no index has to be told.

And only who wants the order of the outbox finds the index by it.
"""

import django.db.models.functions.comparison
from django.db import migrations, models

FORWARD = "ALTER TABLE dispatch_outboundmessage SET (fillfactor = 60)"
BACK = "ALTER TABLE dispatch_outboundmessage RESET (fillfactor)"


def forward(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FORWARD, params=None)


def back(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(BACK, params=None)


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0006_outbox_in_order")]

    operations = [
        migrations.RunPython(forward, back),
        migrations.RemoveIndex(model_name="outboundmessage", name="outbox_in_order"),
        migrations.AddIndex(
            model_name="outboundmessage",
            index=models.Index(
                models.F("connection"),
                models.OrderBy(models.F("urgent"), descending=True),
                django.db.models.functions.comparison.Coalesce(
                    "place", "id", output_field=models.BigIntegerField()
                ),
                models.F("id"),
                condition=models.Q(("id__gt", 0), ("outcome", "PENDING")),
                name="outbox_in_order",
            ),
        ),
    ]
