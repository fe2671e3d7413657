"""Schedules at Voke by the end of their last slot: what was in force is found however long before it was made known."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0014_what_plans_look_for")]

    operations = [
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                fields=["plant", "deliver_by_at"],
                condition=models.Q(kind="schedule-create"),
                name="command_schedules_by_end",
            ),
        ),
    ]
