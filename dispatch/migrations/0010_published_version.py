
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dispatch", "0009_diagnosis_stages"),
    ]

    operations = [
        migrations.AddField(
            model_name="publishedsiteconfig",
            name="version",
            field=models.ForeignKey(
                help_text="What was sent; NULL = held back, or sent before versions were kept.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="dispatch.siteconfigversion",
            ),
        ),
        migrations.AlterField(
            model_name="sitereport",
            name="drift",
            field=models.JSONField(
                default=list,
                help_text="For each difference: family, field, ours and Voke's, since when, and at how many looks.",
            ),
        ),
    ]
