"""What wire words are called: words of Voke's protocol and of our own codes, marked for translation.

A word that is not among them (a newer Voke's, a partner's own alarm code) is shown as it came, in small letters.
"""

from typing import Final

from django.utils.translation import gettext_noop

LABELS: Final = frozenset(
    {
        # operating modes
        gettext_noop("Standard"),
        gettext_noop("Zero export"),
        gettext_noop("Max export"),
        gettext_noop("Peak shaving"),
        gettext_noop("Local optimization"),
        gettext_noop("Grid target"),
        gettext_noop("Lds support"),
        # directions, priorities, kinds of targets
        gettext_noop("Import"),
        gettext_noop("Export"),
        gettext_noop("Normal"),
        gettext_noop("High"),
        gettext_noop("Emergency"),
        gettext_noop("Energy"),
        gettext_noop("Stop"),
        gettext_noop("Hold"),
        # what devices are and are asked for
        gettext_noop("Bess"),
        gettext_noop("Fve"),
        gettext_noop("Meter"),
        gettext_noop("Heat pump"),
        gettext_noop("Ev charger"),
        gettext_noop("Thermostat"),
        gettext_noop("Inverter"),
        gettext_noop("Generic"),
        gettext_noop("Produce max"),
        gettext_noop("Reduce percent"),
        gettext_noop("Reduce power"),
        gettext_noop("Charge"),
        gettext_noop("Discharge"),
        gettext_noop("Charge only"),
        gettext_noop("Discharge only"),
        gettext_noop("Continuous charge"),
        # quality of data, states of devices and orders
        gettext_noop("Good"),
        gettext_noop("Interpolated"),
        gettext_noop("Stale"),
        gettext_noop("Missing"),
        gettext_noop("Online"),
        gettext_noop("Offline"),
        gettext_noop("Degraded"),
        gettext_noop("Unknown"),
        gettext_noop("Accepted"),
        gettext_noop("Rejected"),
        gettext_noop("Partial"),
        gettext_noop("Queued"),
        gettext_noop("Executing"),
        gettext_noop("Completed"),
        gettext_noop("Deviated"),
        gettext_noop("Failed"),
        gettext_noop("Active"),
        gettext_noop("Cancelled"),
        # severities
        gettext_noop("Info"),
        gettext_noop("Warning"),
        gettext_noop("Error"),
        gettext_noop("Critical"),
    }
    | {
        # alarms of Voke and of the platform
        gettext_noop("Constraint violation"),
        gettext_noop("Operating mode not honored"),
        gettext_noop("Schedule slot missed"),
        gettext_noop("No ack"),
    }
)
