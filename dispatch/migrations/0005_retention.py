"""Indexes by which what has ended long ago is found to be deleted."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dispatch', '0004_place_in_the_order'),
        ('plants', '0009_quarantine_and_spans'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('state__in', ['CANCELLED', 'COMPLETED', 'EXPIRED', 'FAILED', 'REFUSED', 'REJECTED', 'RETURNED', 'SUPERSEDED'])), fields=['state_at'], name='command_ended_by_age'),
        ),
        migrations.AddIndex(
            model_name='outboundmessage',
            index=models.Index(condition=models.Q(('command__isnull', True)), fields=['made_at'], name='outbox_config_by_age'),
        ),
        migrations.AddIndex(
            model_name='schedulenotice',
            index=models.Index(fields=['received_at'], name='notice_by_age'),
        ),
    ]
