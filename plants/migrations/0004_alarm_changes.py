"""News of alarms, and an index that finds the meter rows of the last minutes without reading a day's partition."""

import django.db.models.deletion
from django.db import migrations, models


def index_arrivals(apps, schema_editor):
    """Rows arrive in time order, so a BRIN index of a few pages is enough on PostgreSQL."""
    kind = "USING brin " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"CREATE INDEX meter_by_arrival ON plants_meterreading {kind}(received_at)", params=None)


def forget_index(apps, schema_editor):
    schema_editor.execute("DROP INDEX meter_by_arrival", params=None)


class Migration(migrations.Migration):
    dependencies = [("plants", "0003_faults_and_health")]

    operations = [
        migrations.CreateModel(
            name="AlarmChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("word", models.CharField(choices=[("RAISED", "Raised"), ("CLEARED", "Cleared")], max_length=8)),
                ("at", models.DateTimeField(help_text="When we heard or judged so.")),
                ("alarm", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="plants.alarm")),
            ],
            options={"ordering": ["id"]},
        ),
        migrations.RunPython(index_arrivals, forget_index),
    ]
