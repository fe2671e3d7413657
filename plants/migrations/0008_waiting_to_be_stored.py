"""What a consumer holds and has not stored, up to when it knows what arrived, and a state for a database that is slow."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plants", "0007_drained"),
    ]

    operations = [
        migrations.AddField(
            model_name="linkhealth",
            name="heard_until",
            field=models.DateTimeField(
                help_text="Up to when a consumer knows what arrived; NULL = it has not looked yet.", null=True
            ),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="unstored_count",
            field=models.PositiveIntegerField(
                default=0, help_text="How many messages are taken and not stored."
            ),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="unstored_since",
            field=models.DateTimeField(
                help_text="When the oldest message arrived that is taken and not stored; NULL = there is none.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="linkhealth",
            name="state",
            field=models.CharField(
                choices=[
                    ("CONNECTING", "Connecting"),
                    ("CONNECTED", "Connected"),
                    ("SILENT", "Silent (connected, and nothing arrives)"),
                    ("BLOCKED", "Blocked (the broker takes nothing)"),
                    ("SLOW", "Slow (messages arrive, and the database does not store them in time)"),
                    ("REFUSED", "Refused (credentials, vhost, permission or certificate)"),
                    ("DOWN", "Down"),
                ],
                max_length=12,
            ),
        ),
    ]
