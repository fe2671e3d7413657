import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('plants', '0002_readings'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Credential',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(blank=True, max_length=80)),
                ('client_id', models.CharField(max_length=120, unique=True)),
                ('secret_hash', models.CharField(editable=False, help_text='HMAC-SHA256 of the secret, hex.', max_length=64)),
                ('pepper_version', models.CharField(editable=False, max_length=16)),
                ('enabled', models.BooleanField(default=True)),
                ('revision', models.PositiveIntegerField(default=1, editable=False)),
                ('created_at', models.DateTimeField(editable=False)),
                ('last_token_at', models.DateTimeField(editable=False, null=True)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credentials', to='plants.organisation')),
            ],
            options={
                'ordering': ['organisation_id', 'client_id'],
            },
        ),
        migrations.CreateModel(
            name='ConfigUpdateRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.UUIDField(unique=True)),
                ('blocks', models.JSONField(help_text='The asked-for blocks, fields of `plants.time_config.Block`.')),
                ('state', models.CharField(choices=[('OPEN', 'Waiting for review'), ('APPLIED', 'Applied'), ('REFUSED', 'Refused by a person'), ('INVALID', "Breaks the plant's rules"), ('SUPERSEDED', 'Replaced by a newer request')], max_length=10)),
                ('held_because', models.CharField(blank=True, choices=[('NEVER_SERVED', "The credential was never given this plant's config"), ('NEWER_VERSION', 'The config has changed since the credential was last given it'), ('POLICY', "The plant's updates are reviewed by a person")], max_length=16)),
                ('based_on', models.PositiveIntegerField(help_text='Version number last served to the credential; 0 = it was told that there is none.', null=True)),
                ('asked_at', models.DateTimeField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by_name', models.CharField(blank=True, max_length=150)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='config_updates', to='plants.plant')),
                ('version', models.ForeignKey(help_text='The version that the decision made, or found in force.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.timeconfigversion')),
                ('credential', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='trading_api.credential')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'OPEN')), fields=('plant',), name='one_open_update_per_plant')],
            },
        ),
        migrations.CreateModel(
            name='PullJournal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('last_at', models.DateTimeField(help_text='The newest request of a counted row.', null=True)),
                ('count', models.PositiveIntegerField(default=1)),
                ('client_id', models.CharField(blank=True, max_length=120)),
                ('address', models.GenericIPAddressField(null=True)),
                ('request_id', models.CharField(max_length=64)),
                ('endpoint', models.CharField(help_text='token, list, config, update, or other.', max_length=24)),
                ('method', models.CharField(max_length=8)),
                ('plant_ref', models.CharField(blank=True, help_text='plantId as asked for.', max_length=128)),
                ('version', models.PositiveIntegerField(help_text='Time-config version served or made.', null=True)),
                ('status', models.PositiveSmallIntegerField(help_text='HTTP status.')),
                ('result', models.CharField(blank=True, help_text='Result code or error code.', max_length=64)),
                ('detail', models.CharField(blank=True, max_length=400)),
                ('latency_ms', models.FloatField()),
                ('bytes_in', models.PositiveIntegerField()),
                ('bytes_out', models.PositiveIntegerField()),
                ('body', models.TextField(blank=True, help_text='Redacted body of updates and errors, at most 8 KiB.')),
                ('counted_minute', models.DateTimeField(help_text='Set on counted rows: the minute they stand for.', null=True)),
                ('credential', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='trading_api.credential')),
                ('organisation', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.organisation')),
                ('plant', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.plant')),
            ],
            options={
                'verbose_name': 'pull journal row',
                'verbose_name_plural': 'pull journal',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['at'], name='journal_by_time'), models.Index(fields=['organisation', '-id'], name='journal_by_organisation')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('counted_minute__isnull', False)), fields=('address', 'counted_minute'), name='one_counted_row_per_address_and_minute')],
            },
        ),
        migrations.CreateModel(
            name='ServedVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='0 = the credential was told that there is no version yet.')),
                ('served_at', models.DateTimeField()),
                ('credential', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='served', to='trading_api.credential')),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('credential', 'plant'), name='served_version_once')],
            },
        ),
    ]
