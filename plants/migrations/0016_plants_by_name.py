"""An organisation's plants in the order of their names without sorting all of them: lists show 50 of 10,000."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plants", "0015_alarm_notes_are_append_only"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="plant",
            index=models.Index(fields=["organisation", "name", "id"], name="plant_by_name"),
        ),
    ]
