"""The pull journal is looked through by plant, by what is rarely asked for, and by what was not answered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading_api", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="pulljournal",
            index=models.Index(fields=["organisation", "plant_ref", "-id"], name="journal_by_plant_ref"),
        ),
        migrations.AddIndex(
            model_name="pulljournal",
            index=models.Index(
                condition=models.Q(("endpoint", "config"), _negated=True),
                fields=["organisation", "endpoint", "-id"],
                name="journal_by_rare_endpoint",
            ),
        ),
        migrations.AddIndex(
            model_name="pulljournal",
            index=models.Index(
                condition=models.Q(("status__gte", 400)),
                fields=["organisation", "-id"],
                name="journal_unanswered",
            ),
        ),
    ]
