"""Commands that need a person's eye are counted on every page of the console: found by organisation and time."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0016_retractions_followed")]

    operations = [
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                condition=models.Q(
                    (
                        "state__in",
                        ["DEVIATED", "FAILED", "PARTIAL", "REFUSED", "REJECTED", "RETURNED", "UNCONFIRMED"],
                    )
                ),
                fields=["organisation", "requested_at"],
                name="command_doubtful",
            ),
        ),
    ]
