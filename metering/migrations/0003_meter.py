"""Which registers each meter was ever heard of: without it every quarter-hour would look for ones that it never had."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('metering', '0002_gap_ledger'),
    ]

    operations = [
        migrations.CreateModel(
            name='Meter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('device_id', models.CharField(max_length=128)),
                ('registers', models.PositiveSmallIntegerField(help_text='One bit for each register in the order of `metering.registers.REGISTERS`.')),
                ('plant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='meters', to='plants.plant')),
            ],
            options={
                'ordering': ['plant', 'device_id'],
                'constraints': [models.UniqueConstraint(fields=('plant', 'device_id'), name='meter_once')],
            },
        ),
    ]
