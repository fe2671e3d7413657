"""Cases of alarms: what people do about them. Alarms that stand open a case; those that are over get a closed one."""

import hashlib

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


_CHUNK = 500


def _key(organisation_id, alarm):
    """As `plants.services.alarm_filing.fold_key` made it when this was written."""
    place = f"plant:{alarm.plant_id}" if alarm.plant_id else f"connection:{alarm.connection_id or ''}"
    parts = (str(organisation_id or ""), place, alarm.origin, alarm.code, alarm.device_id)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def file_what_is_there(apps, schema_editor):
    """One case for each alarm that is over, and one for what stands of each problem."""
    alarms, cases = apps.get_model("plants", "Alarm"), apps.get_model("plants", "AlarmCase")
    ranks = {"INFO": 0, "WARNING": 1, "ERROR": 2, "CRITICAL": 3}
    last = 0
    while True:
        rows = alarms.objects.filter(pk__gt=last, case=None).select_related("plant", "connection").order_by("pk")[:_CHUNK]
        rows = list(rows.defer("connection__amqps_uri", "connection__api_key", "connection__signing_key"))
        if not rows:
            return
        last = rows[-1].pk
        for alarm in rows:
            place = alarm.plant or alarm.connection
            organisation_id = alarm.organisation_id or (place.organisation_id if place else None)
            key = _key(organisation_id, alarm)
            rank = ranks.get(alarm.severity.strip().upper(), 2)
            stands = alarm.cleared_at is None
            case = cases.objects.filter(fold_key=key, is_current=True).first() if stands else None
            if case is None:
                case = cases(
                    organisation_id=organisation_id,
                    plant_id=alarm.plant_id,
                    connection_id=None if alarm.plant_id else alarm.connection_id,
                    origin=alarm.origin,
                    code=alarm.code,
                    device_id=alarm.device_id,
                    fold_key=key,
                    is_current=stands,
                    is_raised=stands,
                    severity=alarm.severity,
                    rank=rank,
                    first_raised_at=alarm.raised_at,
                    last_raised_at=alarm.raised_at,
                    cleared_at=alarm.cleared_at,
                    closed_at=alarm.cleared_at,
                    closed_why="" if stands else "It was over before the inbox began.",
                )
            case.occurrences += 1
            case.standing += stands
            case.first_raised_at = min(case.first_raised_at, alarm.raised_at)
            if alarm.raised_at >= case.last_raised_at:
                case.last_raised_at, case.latest_id = alarm.raised_at, alarm.pk
            if rank > case.rank:
                case.rank, case.severity = rank, alarm.severity
            case.save()
            alarms.objects.filter(pk=alarm.pk).update(case_id=case.pk)
            apps.get_model("plants", "AlarmOccurrence").objects.create(
                case_id=case.pk,
                alarm_id=alarm.pk,
                raised_at=alarm.raised_at,
                cleared_at=alarm.cleared_at,
                severity=alarm.severity,
            )


class Migration(migrations.Migration):

    dependencies = [
        ('plants', '0012_scheduling'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlarmCase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('origin', models.CharField(choices=[('VOKE', 'Voke'), ('PLATFORM', 'This platform')], max_length=8)),
                ('code', models.CharField(max_length=128)),
                ('device_id', models.CharField(blank=True, max_length=128)),
                ('fold_key', models.CharField(help_text='Digest of what makes alarms the same problem.', max_length=64)),
                ('is_current', models.BooleanField(default=True, help_text='Alarms of this key are still folded into it.')),
                ('severity', models.CharField(help_text='The worst of what is raised; of nothing raised, the last.', max_length=64)),
                ('rank', models.PositiveSmallIntegerField(help_text='0 INFO … 3 CRITICAL.')),
                ('is_raised', models.BooleanField(default=True, help_text='Whether any of its alarms is still raised.')),
                ('standing', models.PositiveIntegerField(default=0, help_text='How many of its alarms are still raised.')),
                ('occurrences', models.PositiveIntegerField(default=0, help_text='How many times it was raised.')),
                ('first_raised_at', models.DateTimeField()),
                ('last_raised_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(help_text='When the last of its alarms was cleared.', null=True)),
                ('acknowledged_at', models.DateTimeField(null=True)),
                ('acknowledged_rank', models.PositiveSmallIntegerField(help_text='How bad it was then: what grows worse is to be acknowledged again.', null=True)),
                ('closed_at', models.DateTimeField(null=True)),
                ('closed_why', models.CharField(blank=True, max_length=500)),
                ('acknowledged_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('connection', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.connection')),
                ('latest', models.ForeignKey(help_text='The alarm that it shows.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.alarm')),
                ('organisation', models.ForeignKey(help_text="Whose it is; NULL = the installation's, for its staff.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.organisation')),
                ('owner', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plant', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.plant')),
                ('previous', models.ForeignKey(help_text="The same problem's case before.", null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.alarmcase')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='alarm',
            name='case',
            field=models.ForeignKey(help_text='The row of the inbox that its newest raise belongs to.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='alarms', to='plants.alarmcase'),
        ),
        migrations.CreateModel(
            name='AlarmNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('word', models.CharField(choices=[('ACKNOWLEDGED', 'Acknowledged'), ('TAKEN_BACK', 'Acknowledgement taken back'), ('ASSIGNED', 'Assigned'), ('COMMENT', 'Comment'), ('CLOSED', 'Closed'), ('REOPENED', 'Opened again'), ('WORSENED', 'Grew worse')], max_length=16)),
                ('by_name', models.CharField(blank=True, help_text="'' = this platform.", max_length=150)),
                ('text', models.TextField(blank=True, help_text='The comment or the reason.')),
                ('data', models.JSONField(default=dict, help_text='From and to of what changed.')),
                ('request_key', models.CharField(blank=True, help_text='Of the form that asked: sent twice it is done once.', max_length=64)),
                ('at', models.DateTimeField()),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='plants.alarmcase')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='AlarmOccurrence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('raised_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(null=True)),
                ('severity', models.CharField(max_length=64)),
                ('alarm', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='plants.alarm')),
                ('case', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='raises', to='plants.alarmcase')),
            ],
            options={
                'ordering': ['-raised_at', '-id'],
            },
        ),
        migrations.AddIndex(
            model_name='alarmcase',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['organisation', '-is_raised', '-rank', '-first_raised_at', '-id'], name='alarm_case_inbox'),
        ),
        migrations.AddIndex(
            model_name='alarmcase',
            index=models.Index(condition=models.Q(('closed_at__isnull', False)), fields=['organisation', '-closed_at', '-id'], name='alarm_case_closed'),
        ),
        migrations.AddConstraint(
            model_name='alarmcase',
            constraint=models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('fold_key',), name='alarm_case_current_once'),
        ),
        migrations.AddConstraint(
            model_name='alarmnote',
            constraint=models.UniqueConstraint(condition=models.Q(('request_key', ''), _negated=True), fields=('case', 'request_key'), name='alarm_note_once_per_request'),
        ),
        migrations.AddIndex(
            model_name='alarmoccurrence',
            index=models.Index(fields=['case', '-raised_at', '-id'], name='alarm_occurrence_of_case'),
        ),
        migrations.AddConstraint(
            model_name='alarmoccurrence',
            constraint=models.UniqueConstraint(fields=('alarm', 'raised_at'), name='alarm_occurrence_once'),
        ),
        migrations.RunPython(file_what_is_there, migrations.RunPython.noop),
    ]
