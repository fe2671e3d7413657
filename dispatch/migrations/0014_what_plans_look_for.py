"""Setpoints of plans that came to nothing, and emergencies by their release: what the plans' tick looks for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0013_emergency_order_plants")]

    operations = [
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                fields=["state_at"],
                condition=models.Q(
                    state__in=["CANCELLED", "EXPIRED", "REFUSED", "RETURNED", "SUPERSEDED"], automatic=True
                ),
                name="command_automatic_in_vain",
            ),
        ),
        migrations.AddIndex(
            model_name="emergencylatch",
            index=models.Index(fields=["released_at"], name="latch_by_release"),
        ),
    ]
