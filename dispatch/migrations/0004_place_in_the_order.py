"""A message that is signed anew keeps its predecessor's place in the order of its plant."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dispatch", "0003_emergencies"),
        ("plants", "0003_faults_and_health"),
    ]

    operations = [
        migrations.AddField(
            model_name="outboundmessage",
            name="place",
            field=models.BigIntegerField(
                help_text="Signed anew: the id of the message whose place in the order it took; NULL = its own.",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="outboundmessage",
            index=models.Index(
                condition=models.Q(("outcome", "PENDING")),
                fields=["plant", "id"],
                name="outbox_pending_by_plant",
            ),
        ),
    ]
