"""Whose measurement a quarantined letter holds, the journal of link states, and indexes for deleting by age."""

import django.db.models.deletion
from django.db import migrations, models


READINGS = (("plants_telemetryreading", "measured_at"), ("plants_meterreading", "reading_at"))


def index_age(apps, schema_editor):
    """Where there are no partitions to drop, old rows must be found without reading the table."""
    if schema_editor.connection.vendor != "postgresql":
        for table, column in READINGS:
            schema_editor.execute(f"CREATE INDEX {table}_by_age ON {table} ({column})", params=None)


def forget_index(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        for table, _ in READINGS:
            schema_editor.execute(f"DROP INDEX {table}_by_age", params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('plants', '0008_waiting_to_be_stored'),
    ]

    operations = [
        migrations.CreateModel(
            name='LinkSpan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('PUBLISH', 'Publish'), ('CONSUME', 'Consume')], max_length=8)),
                ('holder', models.CharField(help_text='Which process said so.', max_length=80)),
                ('state', models.CharField(choices=[('CONNECTING', 'Connecting'), ('CONNECTED', 'Connected'), ('SILENT', 'Silent (connected, and nothing arrives)'), ('BLOCKED', 'Blocked (the broker takes nothing)'), ('SLOW', 'Slow (messages arrive, and the database does not store them in time)'), ('REFUSED', 'Refused (credentials, vhost, permission or certificate)'), ('DOWN', 'Down')], max_length=12)),
                ('error_code', models.CharField(blank=True, max_length=48)),
                ('from_at', models.DateTimeField()),
                ('until_at', models.DateTimeField(help_text='When it was last said.')),
            ],
            options={
                'ordering': ['from_at'],
            },
        ),
        migrations.AddField(
            model_name='deadletter',
            name='others',
            field=models.PositiveIntegerField(default=0, help_text='How many of `count` are other messages of the same plant and reason, for which there was no room.'),
        ),
        migrations.AddField(
            model_name='deadletter',
            name='plant',
            field=models.ForeignKey(help_text='Whose measurement is in quarantine; empty = not known, or another kind of letter.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.plant'),
        ),
        migrations.AddIndex(
            model_name='deadletter',
            index=models.Index(condition=models.Q(('plant__isnull', False), ('state', 'OPEN')), fields=['plant', 'reason', '-id'], name='quarantine_by_plant'),
        ),
        migrations.AddIndex(
            model_name='deadletter',
            index=models.Index(condition=models.Q(('plant__isnull', False), ('state', 'OPEN')), fields=['connection', 'reason', '-id'], name='quarantine_by_connection'),
        ),
        migrations.AddField(
            model_name='linkspan',
            name='connection',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spans', to='plants.connection'),
        ),
        migrations.AddIndex(
            model_name='linkspan',
            index=models.Index(fields=['connection', 'role', 'until_at'], name='span_by_connection'),
        ),
        migrations.AddIndex(
            model_name='linkspan',
            index=models.Index(fields=['until_at'], name='span_by_age'),
        ),
        migrations.RunPython(index_age, forget_index),
    ]
