"""People may decide that nothing happened to a meter."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0005_gap_by_beginning")]
    operations = [
        migrations.AlterField(
            model_name="registerevent",
            name="kind",
            field=models.CharField(
                max_length=8,
                choices=[
                    ("RESET", "Reset: it began again at zero"),
                    ("ROLLOVER", "Rollover: it ran over its last digit"),
                    ("EXCHANGE", "Exchange: another meter, or another beginning"),
                    ("IGNORED", "Ignored: nothing happened to the meter"),
                ],
            ),
        ),
    ]
