"""Proof by measurement: nothing was written into the first table of it, so it is made anew with what judging needs."""

import django.db.models.deletion
from django.db import migrations, models

_VERDICTS = [
    ("PENDING", "Not measured yet"),
    ("VERIFIED", "Verified by measurement"),
    ("OFF_TARGET", "Off its target"),
    ("NO_DATA", "No measurement to judge by"),
    ("NOT_IN_FORCE", "Never in force, or not long enough to judge"),
]
_SOURCES = [("TELEMETRY", "Realtime telemetry"), ("METER", "Meter registers")]
_HINTS = [
    ("SOC_AT_BOUND", "The battery's charge was at its bound"),
    ("DEVICE_FAULT", "A device of the plant had an open alarm"),
    ("SITE_OFFLINE", "The plant was silent while others were heard"),
    ("LIMITED", "The site was at its import or export limit"),
]


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0010_published_version"), ("plants", "0012_scheduling")]

    operations = [
        migrations.DeleteModel(name="Verification"),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("verdict", models.CharField(choices=_VERDICTS, default="PENDING", max_length=12)),
                (
                    "due_at",
                    models.DateTimeField(help_text="When it is judged: its data should be there by then."),
                ),
                ("judged_at", models.DateTimeField(null=True)),
                (
                    "from_at",
                    models.DateTimeField(help_text="What was looked at: after the settling time.", null=True),
                ),
                ("to_at", models.DateTimeField(null=True)),
                ("unit", models.CharField(blank=True, help_text="kW or kWh.", max_length=3)),
                ("target", models.FloatField(null=True)),
                ("measured", models.FloatField(null=True)),
                ("off_by", models.FloatField(help_text="Measured minus target.", null=True)),
                ("tolerance", models.FloatField(null=True)),
                ("source", models.CharField(blank=True, choices=_SOURCES, max_length=9)),
                (
                    "coverage_pct",
                    models.FloatField(
                        help_text="Share of the time for which something was measured.", null=True
                    ),
                ),
                (
                    "samples",
                    models.PositiveIntegerField(default=0, help_text="Samples or readings that count."),
                ),
                ("hint", models.CharField(blank=True, choices=_HINTS, max_length=12)),
                (
                    "again_at",
                    models.DateTimeField(
                        help_text="When late measurements are looked for; NULL = no more.", null=True
                    ),
                ),
                (
                    "looks",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="How often late ones were looked for."
                    ),
                ),
                (
                    "first_verdict",
                    models.CharField(
                        blank=True,
                        choices=_VERDICTS,
                        help_text="What it was before late measurements came.",
                        max_length=12,
                    ),
                ),
                (
                    "command",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="verification",
                        serialize=False,
                        to="dispatch.command",
                    ),
                ),
                (
                    "plant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="plants.plant",
                    ),
                ),
                (
                    "begins_at",
                    models.DateTimeField(
                        help_text="From when it was to hold: validFrom, or when it was due."
                    ),
                ),
                ("ends_at", models.DateTimeField(help_text="Until when it was to hold.")),
                (
                    "rank",
                    models.PositiveSmallIntegerField(
                        help_text="Its priority: 0 NORMAL, 1 HIGH, 2 EMERGENCY."
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("verdict", "PENDING")), fields=["due_at"], name="verification_due"
                    ),
                    models.Index(
                        condition=models.Q(("again_at__isnull", False)),
                        fields=["again_at"],
                        name="verification_again",
                    ),
                    models.Index(fields=["plant", "begins_at"], name="verification_by_plant"),
                    models.Index(
                        condition=models.Q(("rank__gt", 0)),
                        fields=["plant", "begins_at"],
                        name="verification_stronger",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                condition=models.Q(("kind__in", ["emergency", "mode", "schedule-cancel", "schedule-create"])),
                fields=["plant", "due_at"],
                name="command_ends_targets",
            ),
        ),
    ]
