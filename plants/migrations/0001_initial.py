import django.contrib.auth.models
import django.contrib.auth.validators
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import plants.encryption
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Organisation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120)),
                ('slug', models.SlugField(unique=True)),
                ('revision', models.BigIntegerField(default=1, editable=False, help_text='Counts every change that the reverse channel can show; part of its ETags.')),
                ('created_at', models.DateTimeField(editable=False)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Plant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('external_plant_id', models.CharField(help_text='Our id of the plant on the wire.', max_length=64, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9_-]{1,64}\\Z', "1 to 64 letters, digits, '_' or '-'")], verbose_name='external plant id')),
                ('voke_uuid', models.UUIDField(blank=True, help_text="Voke's id of the plant (GET /vcp/sites).", null=True, verbose_name='Voke UUID')),
                ('name', models.CharField(max_length=120)),
                ('description', models.TextField(blank=True, max_length=2000)),
                ('time_zone', models.CharField(default='Europe/Prague', help_text="IANA zone of the plant's wall clock.", max_length=64)),
                ('capacity_kwh', models.FloatField(default=0, help_text='Usable battery energy.', validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('fve_peak_power_kwp', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)], verbose_name='PV peak kWp')),
                ('plant_with_load', models.BooleanField(default=True, help_text='Whether the site has its own consumption.')),
                ('config_enabled', models.BooleanField(default=True, help_text='Off: Voke is told to ignore the time-config blocks.')),
                ('esi_state', models.CharField(default='READY', max_length=40, verbose_name='ESI state')),
                ('max_import_kw', models.FloatField(blank=True, help_text='Largest power the site may take from the grid.', null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('max_export_kw', models.FloatField(blank=True, help_text='Largest power the site may give to the grid.', null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('max_charge_kw', models.FloatField(blank=True, help_text='Largest battery charging power.', null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('max_discharge_kw', models.FloatField(blank=True, help_text='Largest battery discharging power.', null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('soc_min_pct', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(100.0)], verbose_name='SoC min %')),
                ('soc_max_pct', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(100.0)], verbose_name='SoC max %')),
                ('base_mode', models.CharField(choices=[('STANDARD', 'STANDARD'), ('ZERO_EXPORT', 'ZERO_EXPORT'), ('MAX_EXPORT', 'MAX_EXPORT'), ('PEAK_SHAVING', 'PEAK_SHAVING'), ('LOCAL_OPTIMIZATION', 'LOCAL_OPTIMIZATION'), ('GRID_TARGET', 'GRID_TARGET'), ('LDS_SUPPORT', 'LDS_SUPPORT')], default='STANDARD', help_text='Sent when an emergency is released.', max_length=24)),
                ('dispatch_enabled', models.BooleanField(default=True, help_text='Off: nothing is published for this plant.')),
                ('update_policy', models.CharField(choices=[('APPLY', 'Apply at once'), ('REVIEW', "Hold for a person's review")], default='REVIEW', help_text='What happens to a config update that Voke sends.', max_length=8)),
                ('gaps_allowed', models.BooleanField(default=False, help_text='Whether time-config blocks may leave parts of a day out.')),
                ('site_revision', models.BigIntegerField(default=1, editable=False, help_text='Counts changes of topology and limits: they are published to Voke.')),
                ('created_at', models.DateTimeField(editable=False)),
                ('updated_at', models.DateTimeField(editable=False)),
            ],
            options={
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Installation',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('dispatch_enabled', models.BooleanField(default=True, help_text='Off: nothing at all is published to Voke, for any organisation.')),
            ],
            options={
                'verbose_name': 'installation',
                'verbose_name_plural': 'installation',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='installation_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('mode', models.CharField(choices=[('OBSERVE', 'Observe: consume and serve, publish nothing'), ('ACTIVE', 'Active: publish commands and site config too')], default='OBSERVE', max_length=8)),
                ('dispatch_enabled', models.BooleanField(default=True, help_text='Off: nothing is published on this connection.')),
                ('slug', models.CharField(help_text="The organisation's slug at Voke; the AMQP user name.", max_length=50)),
                ('queue_prefix', models.CharField(help_text='Queue names are vcp.{prefix}.…; normally the slug.', max_length=50)),
                ('routing_prefix', models.CharField(help_text='First word of every routing key; normally the prefix.', max_length=50)),
                ('queues', models.JSONField(blank=True, default=dict, help_text='Queue names given by the bundle; they win over built ones.')),
                ('vhost', models.CharField(help_text='Virtual host of this key: partner-{keyId}.', max_length=120)),
                ('key_id', models.CharField(blank=True, max_length=80)),
                ('source', models.CharField(help_text="Our code in every envelope's `source`.", max_length=64)),
                ('site_id_kind', models.CharField(choices=[('UUID', "Voke's plant UUID"), ('EXTERNAL', 'externalPlantId (legacy)')], default='UUID', help_text="What we send as an envelope's `siteId`.", max_length=8)),
                ('scopes', models.JSONField(blank=True, default=list, help_text='Scopes of the API key as told at import; Voke has not verified them to us.')),
                ('rest_base_url', models.URLField(blank=True, default='https://api.voke.turena.cz/api/v1')),
                ('signed_families', models.JSONField(default=list, help_text='Families that are sent with an HMAC signature.')),
                ('key_decoding', models.CharField(choices=[('HEX', 'HEX'), ('UTF8', 'UTF8')], default='HEX', help_text="How the signing key's text becomes bytes.", max_length=4)),
                ('signature_kid', models.CharField(blank=True, help_text='Sent as `signatureKid` when set.', max_length=80)),
                ('amqps_uri', plants.encryption.EncryptedTextField(help_text='amqps://user:key@host:port/vhost, percent-encoded; encrypted at rest.')),
                ('api_key', plants.encryption.EncryptedTextField(blank=True, help_text='REST and AMQP key; encrypted at rest.')),
                ('signing_key', plants.encryption.EncryptedTextField(blank=True, help_text='HMAC key of commands and schedules; encrypted at rest.')),
                ('created_at', models.DateTimeField(editable=False)),
                ('activated_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='connections', to='plants.organisation')),
            ],
            options={
                'ordering': ['organisation_id', 'name'],
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ('organisation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='users', to='plants.organisation')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
                'abstract': False,
            },
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='PlantState',
            fields=[
                ('grid_power_kw', models.FloatField(help_text='+ = import, - = export.', null=True)),
                ('fve_power_kw', models.FloatField(help_text='PV production.', null=True)),
                ('battery_power_kw', models.FloatField(help_text='+ = charging, - = discharging.', null=True)),
                ('consumption_power_kw', models.FloatField(null=True)),
                ('soc_pct', models.FloatField(null=True)),
                ('available_battery_energy_kwh', models.FloatField(null=True)),
                ('battery_temperature_c', models.FloatField(null=True)),
                ('operating_mode', models.CharField(blank=True, max_length=40)),
                ('data_quality', models.CharField(help_text="GOOD, INTERPOLATED, STALE, MISSING or Voke's own word.", max_length=24)),
                ('plant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='state', serialize=False, to='plants.plant')),
                ('measured_at', models.DateTimeField(help_text='Envelope timestamp of the newest sample.', null=True)),
                ('received_at', models.DateTimeField(null=True)),
                ('devices', models.JSONField(default=list, help_text='Device telemetry as Voke sent it.')),
                ('mode', models.CharField(blank=True, help_text="From mode events; '' = none seen yet.", max_length=40)),
                ('mode_reason', models.CharField(blank=True, max_length=500)),
                ('mode_since', models.DateTimeField(help_text='Timestamp of the newest mode event.', null=True)),
                ('mode_override_until', models.DateTimeField(help_text='When the mode override expires, if it does.', null=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='plant',
            name='connection',
            field=models.ForeignKey(blank=True, help_text='The connection over which this plant is commanded and heard.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='plants', to='plants.connection'),
        ),
        migrations.AddField(
            model_name='plant',
            name='organisation',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='plants', to='plants.organisation'),
        ),
        migrations.CreateModel(
            name='InboundMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=128)),
                ('correlation_id', models.CharField(blank=True, max_length=128)),
                ('routing_key', models.CharField(max_length=255)),
                ('family', models.CharField(help_text='Family of the routing key, or the raw rest of it.', max_length=40)),
                ('sent_at', models.DateTimeField(help_text='Envelope timestamp.')),
                ('received_at', models.DateTimeField()),
                ('disposition', models.CharField(choices=[('APPLIED', 'Applied'), ('NO_CHANGE', 'Understood, changed nothing'), ('FOREIGN', 'Belongs to a command that is not ours'), ('UNKNOWN_TYPE', 'Type not known, kept')], max_length=12)),
                ('body', models.BinaryField(help_text='The exact bytes.')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='inbound', to='plants.connection')),
                ('plant', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.plant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Asset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('external_id', models.CharField(max_length=32, validators=[django.core.validators.RegexValidator('^[A-Z0-9_-]{1,32}\\Z', "1 to 32 capital letters, digits, '_' or '-'")], verbose_name='external id')),
                ('asset_type', models.CharField(choices=[('BESS', 'BESS'), ('FVE', 'FVE'), ('METER', 'METER'), ('HEAT_PUMP', 'HEAT_PUMP'), ('EV_CHARGER', 'EV_CHARGER'), ('THERMOSTAT', 'THERMOSTAT'), ('INVERTER', 'INVERTER'), ('GENERIC', 'GENERIC')], max_length=16)),
                ('name', models.CharField(blank=True, max_length=80)),
                ('rated_power_kw', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('capacity_kwh', models.FloatField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(10000000.0)])),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='assets', to='plants.plant')),
            ],
            options={
                'ordering': ['external_id'],
            },
        ),
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(choices=[('VOKE', 'Voke'), ('PLATFORM', 'This platform')], default='VOKE', max_length=8)),
                ('alarm_id', models.CharField(help_text='Stable across raise and clear.', max_length=128)),
                ('severity', models.CharField(help_text='Open vocabulary; known: INFO, WARNING, ERROR, CRITICAL.', max_length=64)),
                ('code', models.CharField(help_text='Open vocabulary.', max_length=128)),
                ('message', models.TextField(blank=True)),
                ('device_id', models.CharField(blank=True, max_length=128)),
                ('raised_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(null=True)),
                ('actual_value', models.JSONField(null=True)),
                ('expected_value', models.JSONField(null=True)),
                ('breached_field', models.CharField(blank=True, max_length=128)),
                ('tolerance_pct', models.FloatField(null=True)),
                ('metadata', models.JSONField(null=True)),
                ('told_at', models.DateTimeField(help_text='Timestamp of the newest message about it.')),
                ('received_at', models.DateTimeField()),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alarms', to='plants.connection')),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='alarms', to='plants.plant')),
            ],
            options={
                'ordering': ['-raised_at'],
            },
        ),
        migrations.CreateModel(
            name='RecentTelemetryBody',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('routing_key', models.CharField(max_length=255)),
                ('received_at', models.DateTimeField()),
                ('body', models.BinaryField()),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='TimeConfigVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='1, 2, 3 … within the plant.')),
                ('origin', models.CharField(choices=[('PERSON', 'Edited by a person'), ('VOKE', 'Config update from Voke'), ('IMPORT', 'Imported')], max_length=8)),
                ('made_at', models.DateTimeField()),
                ('made_by_name', models.CharField(help_text='Who it was, kept when the user is gone.', max_length=150)),
                ('changes', models.JSONField(default=list, help_text='What differs from the version before, one line each.')),
                ('made_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='time_config_versions', to='plants.plant')),
            ],
            options={
                'ordering': ['-number'],
            },
        ),
        migrations.CreateModel(
            name='TimeConfigBlock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('start_minute', models.PositiveSmallIntegerField(help_text='Local minute of the day, inclusive.', verbose_name='from')),
                ('end_minute', models.PositiveSmallIntegerField(help_text='Local minute of the day, exclusive; 1440 = midnight.', verbose_name='to')),
                ('p_bat_min_kw', models.FloatField(help_text='Lowest battery power; + = charging, - = discharging.', verbose_name='pBatMin kW')),
                ('p_bat_max_kw', models.FloatField(help_text='Highest battery power; + = charging, - = discharging.', verbose_name='pBatMax kW')),
                ('soc_min_pct', models.FloatField(validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(100.0)], verbose_name='socMin %')),
                ('soc_max_pct', models.FloatField(validators=[django.core.validators.MinValueValidator(0.0), django.core.validators.MaxValueValidator(100.0)], verbose_name='socMax %')),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='time_config_blocks', to='plants.plant')),
                ('version', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='blocks', to='plants.timeconfigversion')),
            ],
            options={
                'ordering': ['start_minute'],
            },
        ),
        migrations.AddField(
            model_name='plant',
            name='time_config',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plants.timeconfigversion'),
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('queue', models.CharField(max_length=255)),
                ('routing_key', models.CharField(max_length=255)),
                ('headers', models.JSONField(default=dict)),
                ('body', models.BinaryField()),
                ('digest', models.CharField(help_text='SHA-256 of routing key and body: equal letters share one row.', max_length=64)),
                ('reason', models.CharField(help_text='Stable code of what was wrong.', max_length=64)),
                ('path', models.CharField(blank=True, help_text='The offending field.', max_length=255)),
                ('detail', models.TextField(blank=True)),
                ('count', models.PositiveIntegerField(default=1)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='dead_letters', to='plants.connection')),
            ],
            options={
                'ordering': ['-last_at'],
                'constraints': [models.UniqueConstraint(fields=('connection', 'digest'), name='dead_letter_once_per_content')],
            },
        ),
        migrations.CreateModel(
            name='LinkHealth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('PUBLISH', 'Publish'), ('CONSUME', 'Consume')], max_length=8)),
                ('state', models.CharField(choices=[('CONNECTING', 'Connecting'), ('CONNECTED', 'Connected'), ('REFUSED', 'Refused (credentials, vhost, permission or certificate)'), ('DOWN', 'Down')], max_length=12)),
                ('since', models.DateTimeField(help_text='Since when the link is in this state.')),
                ('seen_at', models.DateTimeField(help_text='When a process last said so.')),
                ('last_event_at', models.DateTimeField(help_text='When the last delivery or confirm arrived.', null=True)),
                ('last_error', models.CharField(blank=True, max_length=400)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='health', to='plants.connection')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('connection', 'role'), name='link_health_once_per_role')],
            },
        ),
        migrations.AddConstraint(
            model_name='connection',
            constraint=models.UniqueConstraint(fields=('organisation', 'name'), name='connection_name_once_per_organisation'),
        ),
        migrations.AddIndex(
            model_name='inboundmessage',
            index=models.Index(fields=['connection', 'correlation_id'], name='inbound_by_correlation'),
        ),
        migrations.AddIndex(
            model_name='inboundmessage',
            index=models.Index(fields=['received_at'], name='inbound_by_age'),
        ),
        migrations.AddConstraint(
            model_name='inboundmessage',
            constraint=models.UniqueConstraint(fields=('connection', 'message_id'), name='inbound_message_once_per_connection'),
        ),
        migrations.AddConstraint(
            model_name='asset',
            constraint=models.UniqueConstraint(fields=('plant', 'external_id'), name='asset_id_once_per_plant'),
        ),
        migrations.AddIndex(
            model_name='alarm',
            index=models.Index(fields=['plant', '-raised_at'], name='alarm_by_plant'),
        ),
        migrations.AddIndex(
            model_name='alarm',
            index=models.Index(condition=models.Q(('cleared_at__isnull', True)), fields=['plant'], name='alarm_open_by_plant'),
        ),
        migrations.AddConstraint(
            model_name='alarm',
            constraint=models.UniqueConstraint(fields=('connection', 'origin', 'alarm_id'), name='alarm_id_once_per_connection'),
        ),
        migrations.AddIndex(
            model_name='recenttelemetrybody',
            index=models.Index(fields=['plant', '-id'], name='raw_telemetry_by_plant'),
        ),
        migrations.AddConstraint(
            model_name='timeconfigversion',
            constraint=models.UniqueConstraint(fields=('plant', 'number'), name='time_config_number_once_per_plant'),
        ),
        migrations.AddConstraint(
            model_name='timeconfigblock',
            constraint=models.UniqueConstraint(fields=('version', 'start_minute'), name='block_start_once_per_version'),
        ),
        migrations.AddConstraint(
            model_name='timeconfigblock',
            constraint=models.CheckConstraint(condition=models.Q(('end_minute__lte', 1440), ('start_minute__lt', models.F('end_minute'))), name='block_within_one_day'),
        ),
        migrations.AddConstraint(
            model_name='timeconfigblock',
            constraint=models.CheckConstraint(condition=models.Q(('p_bat_min_kw__lte', models.F('p_bat_max_kw')), ('soc_min_pct__lte', models.F('soc_max_pct'))), name='block_min_le_max'),
        ),
        migrations.AddConstraint(
            model_name='plant',
            constraint=models.UniqueConstraint(fields=('organisation', 'external_plant_id'), name='external_plant_id_once_per_organisation'),
        ),
        migrations.AddConstraint(
            model_name='plant',
            constraint=models.UniqueConstraint(fields=('connection', 'voke_uuid'), name='voke_uuid_once_per_connection'),
        ),
        migrations.AddConstraint(
            model_name='plant',
            constraint=models.CheckConstraint(condition=models.Q(('soc_min_pct__isnull', True), ('soc_max_pct__isnull', True), ('soc_min_pct__lte', models.F('soc_max_pct')), _connector='OR'), name='plant_soc_min_le_max'),
        ),
    ]
