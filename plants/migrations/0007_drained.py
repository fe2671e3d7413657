"""How far the queues of a connection that was taken over are read, and why it still drains."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plants", "0006_voke_uuid_is_no_key"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="draining_code",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Why it still drains, or what was left unread when it retired; empty = nothing to tell.",
                max_length=48,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="connection",
            name="draining_note",
            field=models.CharField(blank=True, default="", editable=False, max_length=200),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="connection",
            name="retired_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Drained: nothing is published or consumed any more; what was published before is stored.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="unread",
            field=models.PositiveIntegerField(
                help_text="Messages that waited at the last look or were not stored yet; NULL = not known.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="unread_at",
            field=models.DateTimeField(help_text="When this process last looked.", null=True),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="read_since",
            field=models.DateTimeField(
                help_text="Since when each look found the queues read to the end, on one and the same link.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="linkhealth",
            name="read_until",
            field=models.DateTimeField(
                help_text="Of what was in the queues before, this process holds nothing that is not stored.",
                null=True,
            ),
        ),
    ]
