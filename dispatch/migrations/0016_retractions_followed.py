"""What takes a command back is followed until Voke has it; base modes by their time, for the plans that they end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0015_schedules_by_end")]

    operations = [
        migrations.AddField(
            model_name="retraction",
            name="follow_until",
            field=models.DateTimeField(
                help_text="Until when it matters whether Voke has what was sent for it; NULL = settled.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="retraction",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How often what was sent for it came to nothing."
            ),
        ),
        migrations.AddIndex(
            model_name="retraction",
            index=models.Index(
                condition=models.Q(("follow_until__isnull", False)),
                fields=["follow_until"],
                name="retraction_followed",
            ),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                condition=models.Q(("kind", "mode")), fields=["due_at"], name="command_modes_by_time"
            ),
        ),
    ]
