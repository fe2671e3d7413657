"""Uniqueness of a plant's Voke UUID by a partial index: moving a plant no longer locks out rows that name it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("plants", "0005_dead_letter_rights"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="plant", name="voke_uuid_once_per_connection"),
        migrations.AddConstraint(
            model_name="plant",
            constraint=models.UniqueConstraint(
                fields=("connection", "voke_uuid"),
                condition=models.Q(("voke_uuid__isnull", False)),
                name="voke_uuid_once_per_connection",
                violation_error_message="another plant of the connection has the same Voke UUID",
            ),
        ),
    ]
