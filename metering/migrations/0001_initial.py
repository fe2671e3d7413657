"""The tables of measurements over time; quarter-hours and hours are partitioned by month on PostgreSQL.

On PostgreSQL a unique key must contain the partition key, so the natural keys are the real keys and `id` is a running
number from a sequence (identity columns break when a partition is built beside the table and attached). On SQLite the
tables are plain, with the natural key unique.
"""

import django.db.models.deletion
from django.db import migrations, models

MEASURES = (
    "grid_power_kw", "fve_power_kw", "battery_power_kw", "consumption_power_kw", "soc_pct",
    "available_battery_energy_kwh", "battery_temperature_c",
)
ENERGIES = ("grid_import_kwh", "grid_export_kwh", "fve_kwh", "charge_kwh", "discharge_kwh", "consumption_kwh")
TELEMETRY = ", ".join(
    [
        "samples integer NOT NULL, covered_s double precision NOT NULL, coverage_pct double precision NOT NULL",
        "good_s double precision NOT NULL, quality_rank smallint",
        *(f"{measure}_s double precision NOT NULL" for measure in MEASURES),
        *(f"{measure}_{what} double precision" for measure in MEASURES for what in ("min", "max", "mean", "last")),
        *(f"{energy} double precision" for energy in ENERGIES),
    ]
)
METER = """
    device_id varchar(128) NOT NULL, role varchar(40) NOT NULL,
    import_kwh double precision, export_kwh double precision, production_kwh double precision,
    charge_kwh double precision, discharge_kwh double precision, readings integer NOT NULL,
    covered_s double precision NOT NULL, coverage_pct double precision NOT NULL, quality_rank smallint,
    estimated boolean NOT NULL, events varchar(60) NOT NULL
"""
# table: (columns, natural key)
TABLES = {
    "metering_telemetryquarter": (TELEMETRY, "plant_id, start_at"),
    "metering_telemetryhour": (TELEMETRY, "plant_id, start_at"),
    "metering_meterquarter": (METER, "plant_id, device_id, start_at"),
    "metering_meterhour": (METER, "plant_id, device_id, start_at"),
}


def create(apps, schema_editor):
    for table, (columns, key) in TABLES.items():
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"CREATE SEQUENCE {table}_id_seq", params=None)
            schema_editor.execute(
                f"CREATE TABLE {table} (id bigint NOT NULL DEFAULT nextval('{table}_id_seq'), plant_id bigint NOT NULL,"
                f" start_at timestamptz NOT NULL, computed_at timestamptz NOT NULL, {columns}, PRIMARY KEY ({key}))"
                " PARTITION BY RANGE (start_at)",
                params=None,
            )
        else:
            schema_editor.execute(
                f"CREATE TABLE {table} (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, plant_id bigint NOT NULL,"
                f" start_at datetime NOT NULL, computed_at datetime NOT NULL, {columns}, UNIQUE ({key}))",
                params=None,
            )


def drop(apps, schema_editor):
    for table in TABLES:
        schema_editor.execute(f"DROP TABLE {table}", params=None)
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP SEQUENCE {table}_id_seq", params=None)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('plants', '0006_voke_uuid_is_no_key'),
    ]

    operations = [
        migrations.CreateModel(
            name='RollupMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stream', models.CharField(choices=[('REALTIME', 'Realtime telemetry'), ('METER', 'Meter registers')], max_length=8)),
                ('start_at', models.DateTimeField(help_text='Beginning of the quarter-hour, UTC.')),
                ('plant_ids', models.JSONField(help_text='Sorted, each once.')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='Gap',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stream', models.CharField(choices=[('REALTIME', 'Realtime telemetry'), ('METER', 'Meter registers')], max_length=8)),
                ('device_id', models.CharField(blank=True, help_text='Of a meter; empty for realtime.', max_length=128)),
                ('from_at', models.DateTimeField(help_text='The last reading before it.')),
                ('to_at', models.DateTimeField(help_text='The first reading after it; empty = still open.', null=True)),
                ('expected_period_s', models.FloatField()),
                ('cause', models.CharField(choices=[('LINK_DOWN', 'Our link to Voke was down'), ('PLATFORM_STOPPED', 'No consumer of ours was running'), ('PLANT_OFFLINE', 'Others were heard on the same connection, this plant was not'), ('NOTHING_ARRIVED', 'The link was up and nothing came for any plant'), ('UNKNOWN', 'Not known')], default='UNKNOWN', max_length=20)),
                ('cause_detail', models.CharField(blank=True, max_length=400)),
                ('found_at', models.DateTimeField()),
                ('missing_s', models.FloatField(help_text='Seconds that are still not covered; of an open gap when last looked.')),
                ('filled_at', models.DateTimeField(help_text='When nothing was missing any more.', null=True)),
                ('filled_from', models.CharField(blank=True, choices=[('QUEUE', 'Arrived late from the broker'), ('REPLAY', 'Replayed from dead letters')], max_length=10)),
                ('given_up_at', models.DateTimeField(help_text='Nobody waits for it any more.', null=True)),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='gaps', to='plants.plant')),
            ],
            options={
                'ordering': ['-from_at'],
                'indexes': [models.Index(condition=models.Q(('to_at__isnull', True)), fields=['stream', 'plant'], name='gap_open_by_plant'), models.Index(condition=models.Q(('filled_at__isnull', True), ('given_up_at__isnull', True)), fields=['from_at'], name='gap_unfilled')],
                'constraints': [models.UniqueConstraint(fields=('plant', 'stream', 'device_id', 'from_at'), name='gap_once')],
            },
        ),
        migrations.CreateModel(
            name='MeterDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device_id', models.CharField(max_length=128)),
                ('role', models.CharField(blank=True, max_length=40)),
                ('import_kwh', models.FloatField(null=True)),
                ('export_kwh', models.FloatField(null=True)),
                ('production_kwh', models.FloatField(null=True)),
                ('charge_kwh', models.FloatField(null=True)),
                ('discharge_kwh', models.FloatField(null=True)),
                ('readings', models.IntegerField(help_text='Readings within the interval.')),
                ('covered_s', models.FloatField(help_text='Seconds between readings that are no further apart than expected.')),
                ('coverage_pct', models.FloatField()),
                ('quality_rank', models.SmallIntegerField(help_text='Of the worst reading that counts here; 3 = GOOD.', null=True)),
                ('estimated', models.BooleanField(default=False, help_text='Some of it was spread over a hole between readings, or decided by an event.')),
                ('events', models.CharField(blank=True, help_text='RESET, ROLLOVER, EXCHANGE, by commas.', max_length=60)),
                ('computed_at', models.DateTimeField()),
                ('day', models.DateField(help_text="In the plant's time zone.")),
                ('start_at', models.DateTimeField()),
                ('end_at', models.DateTimeField()),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='meter_days', to='plants.plant')),
            ],
            options={
                'ordering': ['day'],
                'constraints': [models.UniqueConstraint(fields=('plant', 'device_id', 'day'), name='meter_day_once')],
            },
        ),
        migrations.CreateModel(
            name='RegisterEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device_id', models.CharField(max_length=128)),
                ('register', models.CharField(choices=[('IMPORT', 'Import'), ('EXPORT', 'Export'), ('PRODUCTION', 'Production'), ('CHARGE', 'Charge'), ('DISCHARGE', 'Discharge')], max_length=10)),
                ('kind', models.CharField(choices=[('RESET', 'Reset: it began again at zero'), ('ROLLOVER', 'Rollover: it ran over its last digit'), ('EXCHANGE', 'Exchange: another meter, or another beginning')], max_length=8)),
                ('before_at', models.DateTimeField(help_text='Last reading before it.')),
                ('after_at', models.DateTimeField(help_text='First reading after it.')),
                ('before_kwh', models.FloatField()),
                ('after_kwh', models.FloatField()),
                ('energy_kwh', models.FloatField(help_text='Counted between the two; empty = not known.', null=True)),
                ('found_at', models.DateTimeField()),
                ('decided_by_name', models.CharField(blank=True, help_text='A person; empty = our own judgement.', max_length=150)),
                ('note', models.CharField(blank=True, max_length=500)),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='register_events', to='plants.plant')),
            ],
            options={
                'ordering': ['-after_at'],
                'constraints': [models.UniqueConstraint(fields=('plant', 'device_id', 'register', 'after_at'), name='register_event_once')],
            },
        ),
        migrations.CreateModel(
            name='RollupDue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stream', models.CharField(choices=[('REALTIME', 'Realtime telemetry'), ('METER', 'Meter registers')], max_length=8)),
                ('start_at', models.DateTimeField()),
                ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('stream', 'start_at', 'plant'), name='rollup_due_once')],
            },
        ),
        migrations.CreateModel(
            name='StreamPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stream', models.CharField(choices=[('REALTIME', 'Realtime telemetry'), ('METER', 'Meter registers')], max_length=8)),
                ('valid_from', models.DateTimeField()),
                ('period_s', models.FloatField()),
                ('source', models.CharField(choices=[('SET', 'Set by a person'), ('LEARNT', 'Learnt from what came')], max_length=8)),
                ('set_by_name', models.CharField(blank=True, max_length=150)),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='stream_periods', to='plants.plant')),
            ],
            options={
                'ordering': ['valid_from'],
                'constraints': [models.UniqueConstraint(fields=('plant', 'stream', 'valid_from'), name='stream_period_once')],
            },
        ),
        migrations.CreateModel(
            name='TelemetryDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('samples', models.IntegerField(help_text='Samples measured within the interval.')),
                ('covered_s', models.FloatField(help_text='Seconds for which any sample speaks.')),
                ('coverage_pct', models.FloatField(help_text='Share of the interval that is covered.')),
                ('good_s', models.FloatField(help_text='Covered seconds with data quality GOOD.')),
                ('quality_rank', models.SmallIntegerField(help_text='Of the worst sample that counts here; 3 = GOOD.', null=True)),
                ('grid_power_kw_s', models.FloatField(default=0)),
                ('grid_power_kw_min', models.FloatField(null=True)),
                ('grid_power_kw_max', models.FloatField(null=True)),
                ('grid_power_kw_mean', models.FloatField(null=True)),
                ('grid_power_kw_last', models.FloatField(null=True)),
                ('fve_power_kw_s', models.FloatField(default=0)),
                ('fve_power_kw_min', models.FloatField(null=True)),
                ('fve_power_kw_max', models.FloatField(null=True)),
                ('fve_power_kw_mean', models.FloatField(null=True)),
                ('fve_power_kw_last', models.FloatField(null=True)),
                ('battery_power_kw_s', models.FloatField(default=0)),
                ('battery_power_kw_min', models.FloatField(null=True)),
                ('battery_power_kw_max', models.FloatField(null=True)),
                ('battery_power_kw_mean', models.FloatField(null=True)),
                ('battery_power_kw_last', models.FloatField(null=True)),
                ('consumption_power_kw_s', models.FloatField(default=0)),
                ('consumption_power_kw_min', models.FloatField(null=True)),
                ('consumption_power_kw_max', models.FloatField(null=True)),
                ('consumption_power_kw_mean', models.FloatField(null=True)),
                ('consumption_power_kw_last', models.FloatField(null=True)),
                ('soc_pct_s', models.FloatField(default=0)),
                ('soc_pct_min', models.FloatField(null=True)),
                ('soc_pct_max', models.FloatField(null=True)),
                ('soc_pct_mean', models.FloatField(null=True)),
                ('soc_pct_last', models.FloatField(null=True)),
                ('available_battery_energy_kwh_s', models.FloatField(default=0)),
                ('available_battery_energy_kwh_min', models.FloatField(null=True)),
                ('available_battery_energy_kwh_max', models.FloatField(null=True)),
                ('available_battery_energy_kwh_mean', models.FloatField(null=True)),
                ('available_battery_energy_kwh_last', models.FloatField(null=True)),
                ('battery_temperature_c_s', models.FloatField(default=0)),
                ('battery_temperature_c_min', models.FloatField(null=True)),
                ('battery_temperature_c_max', models.FloatField(null=True)),
                ('battery_temperature_c_mean', models.FloatField(null=True)),
                ('battery_temperature_c_last', models.FloatField(null=True)),
                ('grid_import_kwh', models.FloatField(null=True)),
                ('grid_export_kwh', models.FloatField(null=True)),
                ('fve_kwh', models.FloatField(null=True)),
                ('charge_kwh', models.FloatField(null=True)),
                ('discharge_kwh', models.FloatField(null=True)),
                ('consumption_kwh', models.FloatField(null=True)),
                ('computed_at', models.DateTimeField()),
                ('day', models.DateField(help_text="In the plant's time zone.")),
                ('start_at', models.DateTimeField()),
                ('end_at', models.DateTimeField()),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='telemetry_days', to='plants.plant')),
            ],
            options={
                'ordering': ['day'],
                'constraints': [models.UniqueConstraint(fields=('plant', 'day'), name='telemetry_day_once')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create, drop)],
            state_operations=[
                migrations.CreateModel(
                    name='MeterHour',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('device_id', models.CharField(max_length=128)),
                        ('role', models.CharField(blank=True, max_length=40)),
                        ('import_kwh', models.FloatField(null=True)),
                        ('export_kwh', models.FloatField(null=True)),
                        ('production_kwh', models.FloatField(null=True)),
                        ('charge_kwh', models.FloatField(null=True)),
                        ('discharge_kwh', models.FloatField(null=True)),
                        ('readings', models.IntegerField(help_text='Readings within the interval.')),
                        ('covered_s', models.FloatField(help_text='Seconds between readings that are no further apart than expected.')),
                        ('coverage_pct', models.FloatField()),
                        ('quality_rank', models.SmallIntegerField(help_text='Of the worst reading that counts here; 3 = GOOD.', null=True)),
                        ('estimated', models.BooleanField(default=False, help_text='Some of it was spread over a hole between readings, or decided by an event.')),
                        ('events', models.CharField(blank=True, help_text='RESET, ROLLOVER, EXCHANGE, by commas.', max_length=60)),
                        ('computed_at', models.DateTimeField()),
                        ('start_at', models.DateTimeField()),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'metering_meterhour',
                        'ordering': ['start_at'],
                    },
                ),
                migrations.CreateModel(
                    name='MeterQuarter',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('device_id', models.CharField(max_length=128)),
                        ('role', models.CharField(blank=True, max_length=40)),
                        ('import_kwh', models.FloatField(null=True)),
                        ('export_kwh', models.FloatField(null=True)),
                        ('production_kwh', models.FloatField(null=True)),
                        ('charge_kwh', models.FloatField(null=True)),
                        ('discharge_kwh', models.FloatField(null=True)),
                        ('readings', models.IntegerField(help_text='Readings within the interval.')),
                        ('covered_s', models.FloatField(help_text='Seconds between readings that are no further apart than expected.')),
                        ('coverage_pct', models.FloatField()),
                        ('quality_rank', models.SmallIntegerField(help_text='Of the worst reading that counts here; 3 = GOOD.', null=True)),
                        ('estimated', models.BooleanField(default=False, help_text='Some of it was spread over a hole between readings, or decided by an event.')),
                        ('events', models.CharField(blank=True, help_text='RESET, ROLLOVER, EXCHANGE, by commas.', max_length=60)),
                        ('computed_at', models.DateTimeField()),
                        ('start_at', models.DateTimeField()),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'metering_meterquarter',
                        'ordering': ['start_at'],
                    },
                ),
                migrations.CreateModel(
                    name='TelemetryHour',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('samples', models.IntegerField(help_text='Samples measured within the interval.')),
                        ('covered_s', models.FloatField(help_text='Seconds for which any sample speaks.')),
                        ('coverage_pct', models.FloatField(help_text='Share of the interval that is covered.')),
                        ('good_s', models.FloatField(help_text='Covered seconds with data quality GOOD.')),
                        ('quality_rank', models.SmallIntegerField(help_text='Of the worst sample that counts here; 3 = GOOD.', null=True)),
                        ('grid_power_kw_s', models.FloatField(default=0)),
                        ('grid_power_kw_min', models.FloatField(null=True)),
                        ('grid_power_kw_max', models.FloatField(null=True)),
                        ('grid_power_kw_mean', models.FloatField(null=True)),
                        ('grid_power_kw_last', models.FloatField(null=True)),
                        ('fve_power_kw_s', models.FloatField(default=0)),
                        ('fve_power_kw_min', models.FloatField(null=True)),
                        ('fve_power_kw_max', models.FloatField(null=True)),
                        ('fve_power_kw_mean', models.FloatField(null=True)),
                        ('fve_power_kw_last', models.FloatField(null=True)),
                        ('battery_power_kw_s', models.FloatField(default=0)),
                        ('battery_power_kw_min', models.FloatField(null=True)),
                        ('battery_power_kw_max', models.FloatField(null=True)),
                        ('battery_power_kw_mean', models.FloatField(null=True)),
                        ('battery_power_kw_last', models.FloatField(null=True)),
                        ('consumption_power_kw_s', models.FloatField(default=0)),
                        ('consumption_power_kw_min', models.FloatField(null=True)),
                        ('consumption_power_kw_max', models.FloatField(null=True)),
                        ('consumption_power_kw_mean', models.FloatField(null=True)),
                        ('consumption_power_kw_last', models.FloatField(null=True)),
                        ('soc_pct_s', models.FloatField(default=0)),
                        ('soc_pct_min', models.FloatField(null=True)),
                        ('soc_pct_max', models.FloatField(null=True)),
                        ('soc_pct_mean', models.FloatField(null=True)),
                        ('soc_pct_last', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_s', models.FloatField(default=0)),
                        ('available_battery_energy_kwh_min', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_max', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_mean', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_last', models.FloatField(null=True)),
                        ('battery_temperature_c_s', models.FloatField(default=0)),
                        ('battery_temperature_c_min', models.FloatField(null=True)),
                        ('battery_temperature_c_max', models.FloatField(null=True)),
                        ('battery_temperature_c_mean', models.FloatField(null=True)),
                        ('battery_temperature_c_last', models.FloatField(null=True)),
                        ('grid_import_kwh', models.FloatField(null=True)),
                        ('grid_export_kwh', models.FloatField(null=True)),
                        ('fve_kwh', models.FloatField(null=True)),
                        ('charge_kwh', models.FloatField(null=True)),
                        ('discharge_kwh', models.FloatField(null=True)),
                        ('consumption_kwh', models.FloatField(null=True)),
                        ('computed_at', models.DateTimeField()),
                        ('start_at', models.DateTimeField()),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'metering_telemetryhour',
                        'ordering': ['start_at'],
                    },
                ),
                migrations.CreateModel(
                    name='TelemetryQuarter',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('samples', models.IntegerField(help_text='Samples measured within the interval.')),
                        ('covered_s', models.FloatField(help_text='Seconds for which any sample speaks.')),
                        ('coverage_pct', models.FloatField(help_text='Share of the interval that is covered.')),
                        ('good_s', models.FloatField(help_text='Covered seconds with data quality GOOD.')),
                        ('quality_rank', models.SmallIntegerField(help_text='Of the worst sample that counts here; 3 = GOOD.', null=True)),
                        ('grid_power_kw_s', models.FloatField(default=0)),
                        ('grid_power_kw_min', models.FloatField(null=True)),
                        ('grid_power_kw_max', models.FloatField(null=True)),
                        ('grid_power_kw_mean', models.FloatField(null=True)),
                        ('grid_power_kw_last', models.FloatField(null=True)),
                        ('fve_power_kw_s', models.FloatField(default=0)),
                        ('fve_power_kw_min', models.FloatField(null=True)),
                        ('fve_power_kw_max', models.FloatField(null=True)),
                        ('fve_power_kw_mean', models.FloatField(null=True)),
                        ('fve_power_kw_last', models.FloatField(null=True)),
                        ('battery_power_kw_s', models.FloatField(default=0)),
                        ('battery_power_kw_min', models.FloatField(null=True)),
                        ('battery_power_kw_max', models.FloatField(null=True)),
                        ('battery_power_kw_mean', models.FloatField(null=True)),
                        ('battery_power_kw_last', models.FloatField(null=True)),
                        ('consumption_power_kw_s', models.FloatField(default=0)),
                        ('consumption_power_kw_min', models.FloatField(null=True)),
                        ('consumption_power_kw_max', models.FloatField(null=True)),
                        ('consumption_power_kw_mean', models.FloatField(null=True)),
                        ('consumption_power_kw_last', models.FloatField(null=True)),
                        ('soc_pct_s', models.FloatField(default=0)),
                        ('soc_pct_min', models.FloatField(null=True)),
                        ('soc_pct_max', models.FloatField(null=True)),
                        ('soc_pct_mean', models.FloatField(null=True)),
                        ('soc_pct_last', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_s', models.FloatField(default=0)),
                        ('available_battery_energy_kwh_min', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_max', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_mean', models.FloatField(null=True)),
                        ('available_battery_energy_kwh_last', models.FloatField(null=True)),
                        ('battery_temperature_c_s', models.FloatField(default=0)),
                        ('battery_temperature_c_min', models.FloatField(null=True)),
                        ('battery_temperature_c_max', models.FloatField(null=True)),
                        ('battery_temperature_c_mean', models.FloatField(null=True)),
                        ('battery_temperature_c_last', models.FloatField(null=True)),
                        ('grid_import_kwh', models.FloatField(null=True)),
                        ('grid_export_kwh', models.FloatField(null=True)),
                        ('fve_kwh', models.FloatField(null=True)),
                        ('charge_kwh', models.FloatField(null=True)),
                        ('discharge_kwh', models.FloatField(null=True)),
                        ('consumption_kwh', models.FloatField(null=True)),
                        ('computed_at', models.DateTimeField()),
                        ('start_at', models.DateTimeField()),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'metering_telemetryquarter',
                        'ordering': ['start_at'],
                    },
                ),
            ],
        ),
    ]
