"""A relay reads its outbox in the order of sending by an index; indexes that others contain are dropped."""

import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dispatch', '0005_retention'),
    ]

    operations = [
        migrations.AlterField(
            model_name='command',
            name='organisation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='plants.organisation'),
        ),
        migrations.AlterField(
            model_name='command',
            name='plant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='plants.plant'),
        ),
        migrations.AlterField(
            model_name='commandevent',
            name='command',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='dispatch.command'),
        ),
        migrations.AlterField(
            model_name='commandevent',
            name='inbound',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='plants.inboundmessage'),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='connection',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='outbox', to='plants.connection'),
        ),
        migrations.AddIndex(
            model_name='commandevent',
            index=models.Index(condition=models.Q(('inbound__isnull', False)), fields=['inbound'], name='event_by_inbound'),
        ),
        migrations.AddIndex(
            model_name='outboundmessage',
            index=models.Index(models.F('connection'), models.OrderBy(models.F('urgent'), descending=True), django.db.models.functions.comparison.Coalesce('place', 'id', output_field=models.BigIntegerField()), models.F('id'), condition=models.Q(('outcome', 'PENDING')), name='outbox_in_order'),
        ),
        migrations.RemoveIndex(
            model_name='outboundmessage',
            name='outbox_pending',
        ),
    ]
