"""Slots that were pre-empted, and overrides of a plant: what the plans' tick looks for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("schedules", "0003_proof_of_slots")]

    operations = [
        migrations.AddIndex(
            model_name="override",
            index=models.Index(fields=["plant", "until_at"], name="override_by_plant"),
        ),
        migrations.AddIndex(
            model_name="slotrun",
            index=models.Index(
                fields=["due_at"], condition=models.Q(state="PREEMPTED"), name="slot_run_preempted"
            ),
        ),
    ]
