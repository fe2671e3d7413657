"""The history tables: partitioned by day on PostgreSQL, plain on SQLite, with a plain `id` in the model state.

On PostgreSQL a unique key must contain the partition key, so the natural keys are the real keys and `id` is a running
number from a sequence (identity columns break when a partition is built beside the table and attached).
"""

import django.db.models.deletion
from django.db import migrations, models

MEASURED = """
    grid_power_kw double precision, fve_power_kw double precision, battery_power_kw double precision,
    consumption_power_kw double precision, soc_pct double precision,
    available_battery_energy_kwh double precision, battery_temperature_c double precision,
    operating_mode varchar(40) NOT NULL, data_quality varchar(24) NOT NULL, quality_rank smallint NOT NULL
"""
REGISTERS = """
    role varchar(40) NOT NULL, import_register_kwh double precision, export_register_kwh double precision,
    production_register_kwh double precision, charge_register_kwh double precision,
    discharge_register_kwh double precision, data_quality varchar(24) NOT NULL, quality_rank smallint NOT NULL
"""
POSTGRESQL = f"""
CREATE SEQUENCE plants_telemetryreading_id_seq;
CREATE TABLE plants_telemetryreading (
    id bigint NOT NULL DEFAULT nextval('plants_telemetryreading_id_seq'),
    plant_id bigint NOT NULL, measured_at timestamptz NOT NULL, received_at timestamptz NOT NULL, {MEASURED},
    PRIMARY KEY (plant_id, measured_at)
) PARTITION BY RANGE (measured_at);
CREATE SEQUENCE plants_meterreading_id_seq;
CREATE TABLE plants_meterreading (
    id bigint NOT NULL DEFAULT nextval('plants_meterreading_id_seq'),
    plant_id bigint NOT NULL, device_id varchar(128) NOT NULL, reading_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL, {REGISTERS},
    PRIMARY KEY (plant_id, device_id, reading_at)
) PARTITION BY RANGE (reading_at)
"""
SQLITE = f"""
CREATE TABLE plants_telemetryreading (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    plant_id bigint NOT NULL, measured_at datetime NOT NULL, received_at datetime NOT NULL, {MEASURED},
    UNIQUE (plant_id, measured_at)
);
CREATE TABLE plants_meterreading (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    plant_id bigint NOT NULL, device_id varchar(128) NOT NULL, reading_at datetime NOT NULL,
    received_at datetime NOT NULL, {REGISTERS},
    UNIQUE (plant_id, device_id, reading_at)
)
"""


def create(apps, schema_editor):
    text = POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE
    for statement in text.split(";"):
        schema_editor.execute(statement, params=None)


def drop(apps, schema_editor):
    for name in ("plants_telemetryreading", "plants_meterreading"):
        schema_editor.execute(f"DROP TABLE {name}", params=None)
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP SEQUENCE {name}_id_seq", params=None)


class Migration(migrations.Migration):
    dependencies = [("plants", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(create, drop)],
            state_operations=[
                migrations.CreateModel(
                    name='MeterReading',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('device_id', models.CharField(max_length=128)),
                        ('reading_at', models.DateTimeField()),
                        ('received_at', models.DateTimeField()),
                        ('role', models.CharField(blank=True, max_length=40)),
                        ('import_register_kwh', models.FloatField(null=True)),
                        ('export_register_kwh', models.FloatField(null=True)),
                        ('production_register_kwh', models.FloatField(null=True)),
                        ('charge_register_kwh', models.FloatField(null=True)),
                        ('discharge_register_kwh', models.FloatField(null=True)),
                        ('data_quality', models.CharField(max_length=24)),
                        ('quality_rank', models.SmallIntegerField()),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='meter_readings', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'plants_meterreading',
                        'ordering': ['-reading_at'],
                    },
                ),
                migrations.CreateModel(
                    name='TelemetryReading',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('grid_power_kw', models.FloatField(help_text='+ = import, - = export.', null=True)),
                        ('fve_power_kw', models.FloatField(help_text='PV production.', null=True)),
                        ('battery_power_kw', models.FloatField(help_text='+ = charging, - = discharging.', null=True)),
                        ('consumption_power_kw', models.FloatField(null=True)),
                        ('soc_pct', models.FloatField(null=True)),
                        ('available_battery_energy_kwh', models.FloatField(null=True)),
                        ('battery_temperature_c', models.FloatField(null=True)),
                        ('operating_mode', models.CharField(blank=True, max_length=40)),
                        ('data_quality', models.CharField(help_text="GOOD, INTERPOLATED, STALE, MISSING or Voke's own word.", max_length=24)),
                        ('measured_at', models.DateTimeField(help_text='Envelope timestamp.')),
                        ('received_at', models.DateTimeField()),
                        ('quality_rank', models.SmallIntegerField(help_text='3 GOOD, 2 INTERPOLATED, 1 STALE, 0 MISSING or unknown.')),
                        ('plant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='telemetry', to='plants.plant')),
                    ],
                    options={
                        'db_table': 'plants_telemetryreading',
                        'ordering': ['-measured_at'],
                    },
                ),
            ],
        )
    ]
