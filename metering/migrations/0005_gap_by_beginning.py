"""Old gaps are looked for at every run of the ledger, and people see the newest first: both go by the beginning."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_rollups_by_time")]
    operations = [
        migrations.AddIndex(
            model_name="gap", index=models.Index(fields=["from_at"], name="gap_by_beginning")
        ),
    ]
