from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Command',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('site-setpoint', 'Site setpoint'), ('device', 'Device batch'), ('emergency', 'Emergency'), ('mode', 'Operating mode')], max_length=16)),
                ('payload', models.JSONField(help_text='The payload in wire names.')),
                ('state', models.CharField(choices=[('SCHEDULED', 'SCHEDULED'), ('QUEUED', 'QUEUED'), ('SENT', 'SENT'), ('ACCEPTED', 'ACCEPTED'), ('QUEUED_BY_VOKE', 'QUEUED_BY_VOKE'), ('PARTIAL', 'PARTIAL'), ('REJECTED', 'REJECTED'), ('EXECUTING', 'EXECUTING'), ('COMPLETED', 'COMPLETED'), ('DEVIATED', 'DEVIATED'), ('FAILED', 'FAILED'), ('CANCELLED', 'CANCELLED'), ('SUPERSEDED', 'SUPERSEDED'), ('EXPIRED', 'EXPIRED'), ('RETURNED', 'RETURNED'), ('REFUSED', 'REFUSED'), ('UNCONFIRMED', 'UNCONFIRMED')], max_length=16)),
                ('state_at', models.DateTimeField(help_text='Since when it is in this state.')),
                ('cause', models.CharField(blank=True, help_text='Stable code of what brought it here.', max_length=64)),
                ('automatic', models.BooleanField(default=False, help_text='Asked for by a plan or rule, not by a person.')),
                ('requested_by_name', models.CharField(max_length=150)),
                ('requested_at', models.DateTimeField()),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('idempotency_key', models.CharField(help_text='Same key, same command, once.', max_length=128, null=True)),
                ('request_digest', models.CharField(help_text='SHA-256 of what was asked for under the key.', max_length=64)),
                ('batch_ref', models.CharField(blank=True, help_text='Groups commands; never sent to Voke.', max_length=128)),
                ('due_at', models.DateTimeField(help_text='When it is built, signed and put into the outbox.')),
                ('deliver_by_at', models.DateTimeField(help_text='After this nothing of it may be sent; NULL = emergency.', null=True)),
                ('ack_due_at', models.DateTimeField(help_text='When an ACK is overdue; set when sent.', null=True)),
                ('execution_due_at', models.DateTimeField(help_text='When an execution report is overdue.', null=True)),
                ('execution_overdue', models.BooleanField(default=False)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('send_command', 'Can send setpoints, device commands and modes'), ('send_emergency', 'Can send and release emergencies')],
            },
        ),
        migrations.CreateModel(
            name='CommandEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When we recorded it.')),
                ('told_at', models.DateTimeField(help_text="Timestamp of Voke's message, when Voke said it.", null=True)),
                ('word', models.CharField(help_text='The state it speaks of, or what happened.', max_length=24)),
                ('verdict', models.CharField(help_text='APPLIED, DUPLICATE, STALE or NOTE.', max_length=10)),
                ('cause', models.CharField(blank=True, max_length=64)),
                ('actor', models.CharField(blank=True, help_text="A person, 'Voke', or a part of the platform.", max_length=150)),
                ('detail', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='EmergencyLatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(choices=[('STOP', 'STOP'), ('HOLD', 'HOLD')], max_length=4)),
                ('set_at', models.DateTimeField()),
                ('set_by_name', models.CharField(max_length=150)),
                ('released_at', models.DateTimeField(null=True)),
                ('released_by_name', models.CharField(blank=True, max_length=150)),
                ('release_reason', models.CharField(blank=True, max_length=500)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='OutboundMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('family', models.CharField(max_length=40)),
                ('routing_key', models.CharField(max_length=255)),
                ('message_id', models.UUIDField(unique=True)),
                ('correlation_id', models.UUIDField(unique=True)),
                ('body', models.BinaryField(help_text='The exact bytes, as signed.')),
                ('signed', models.BooleanField()),
                ('urgent', models.BooleanField(default=False, help_text='Emergency: goes before everything else.')),
                ('made_at', models.DateTimeField(help_text="The envelope's timestamp.")),
                ('deliver_by_at', models.DateTimeField(null=True)),
                ('not_before_at', models.DateTimeField(help_text='A re-issued message waits until then.', null=True)),
                ('attempted_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('outcome', models.CharField(choices=[('PENDING', 'Waiting or on its way'), ('CONFIRMED', 'Confirmed by the broker and routed'), ('RETURNED', 'Returned: no queue took it'), ('REFUSED', 'Refused by the broker'), ('REPLACED', 'Never sent, replaced by a newly signed one'), ('WITHDRAWN', 'Never sent, its command was withdrawn or expired'), ('ABANDONED', 'Attempted, never confirmed in time')], default='PENDING', max_length=10)),
                ('outcome_at', models.DateTimeField(null=True)),
                ('detail', models.CharField(blank=True, help_text='What the broker said.', max_length=400)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
    ]
