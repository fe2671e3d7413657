"""What the gap ledger has seen, what retention must not touch, and indexes by which rollups are found."""

import django.db.models.deletion
from django.db import migrations, models


ROLLUPS = ("metering_telemetryquarter", "metering_telemetryhour", "metering_meterquarter", "metering_meterhour")
QUARTERS = ("metering_telemetryquarter", "metering_meterquarter")


def index_rollups(apps, schema_editor):
    """By when they were computed: the ledger looks at the new ones. By age: where there are no partitions to drop."""
    for table in QUARTERS:
        schema_editor.execute(f"CREATE INDEX {table}_computed ON {table} (computed_at, id)", params=None)
    if schema_editor.connection.vendor != "postgresql":
        for table in ROLLUPS:
            schema_editor.execute(f"CREATE INDEX {table}_by_age ON {table} (start_at)", params=None)


def forget_indexes(apps, schema_editor):
    for table in QUARTERS:
        schema_editor.execute(f"DROP INDEX {table}_computed", params=None)
    if schema_editor.connection.vendor != "postgresql":
        for table in ROLLUPS:
            schema_editor.execute(f"DROP INDEX {table}_by_age", params=None)


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0001_initial'),
        ('plants', '0009_quarantine_and_spans'),
    ]

    operations = [
        migrations.CreateModel(
            name='LedgerProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('part', models.CharField(max_length=20, unique=True)),
                ('until_at', models.DateTimeField()),
                ('until_id', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='MeterSeen',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device_id', models.CharField(max_length=128)),
                ('reading_at', models.DateTimeField()),
                ('received_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='RetentionHold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_at', models.DateTimeField()),
                ('to_at', models.DateTimeField()),
                ('reason', models.CharField(max_length=200)),
                ('held_by_name', models.CharField(help_text='A person, or the part of the platform.', max_length=150)),
                ('held_at', models.DateTimeField()),
                ('released_at', models.DateTimeField(null=True)),
                ('released_by_name', models.CharField(blank=True, max_length=150)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AlterField(
            model_name='gap',
            name='cause_detail',
            field=models.CharField(blank=True, help_text='The evidence in plain words; empty = not judged yet.', max_length=400),
        ),
        migrations.AddIndex(
            model_name='gap',
            index=models.Index(condition=models.Q(('cause_detail', '')), fields=['id'], name='gap_unjudged'),
        ),
        migrations.AddField(
            model_name='meterseen',
            name='plant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant'),
        ),
        migrations.AddIndex(
            model_name='retentionhold',
            index=models.Index(condition=models.Q(('released_at__isnull', True)), fields=['from_at'], name='hold_not_released'),
        ),
        migrations.AddConstraint(
            model_name='retentionhold',
            constraint=models.CheckConstraint(condition=models.Q(('from_at__lt', models.F('to_at'))), name='hold_from_before_to'),
        ),
        migrations.AddConstraint(
            model_name='meterseen',
            constraint=models.UniqueConstraint(fields=('plant', 'device_id'), name='meter_seen_once'),
        ),
        migrations.RunPython(index_rollups, forget_indexes),
    ]
