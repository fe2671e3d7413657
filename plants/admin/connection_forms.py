"""Forms about connections: a bundle to import, the switches, the plants that are reached over it."""

from typing import Any

from django import forms
from django.conf import settings

from plants.admin.base import without_secrets
from plants.admin.pages import PageForm
from plants.admin.theme import autocomplete, widgets
from plants.models import Asset, Connection, ConnectionMode, Organisation, Plant
from vcp import CONNECT_SCOPE, REQUIRED_SCOPE, KeyDecoding

MAX_BUNDLE_BYTES = 65_536
READ_SCOPE = "vcp:read"
SCOPES = sorted({CONNECT_SCOPE, READ_SCOPE, *REQUIRED_SCOPE.values()})
DECODINGS = [
    (KeyDecoding.HEX.value, "Hexadecimal: 64 digits, 32 bytes"),
    (KeyDecoding.UTF8.value, "UTF-8: the text's own bytes"),
]


class SecretTextarea(forms.Textarea):
    """Never writes back what was typed into it, not even on the answer that says what is wrong with it."""

    def format_value(self, value: Any) -> str:
        return ""


class BundleForm(PageForm):
    """A bundle as pasted or uploaded; it is shown to nobody again."""

    bundle = forms.CharField(
        required=False,
        label="Connection bundle",
        strip=True,
        max_length=MAX_BUNDLE_BYTES,
        widget=SecretTextarea(
            attrs={
                "rows": 8,
                "class": " ".join([*widgets.TEXTAREA_CLASSES, "mono"]),
                "spellcheck": "false",
                "autocomplete": "off",
            }
        ),
        help_text="The JSON that Voke showed once when the key was created. It is not shown again here either.",
    )
    bundle_file = forms.FileField(required=False, label="or as a file", max_length=200)
    key_decoding = forms.ChoiceField(
        choices=DECODINGS,
        initial=KeyDecoding.HEX.value,
        help_text="How the signing key's text becomes bytes.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("bundle", "bundle_file"):
            field: Any = self.fields[name]
            field.conditional = True  # one of the two is needed, so the page calls neither optional

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        upload = cleaned.get("bundle_file")
        if upload and cleaned.get("bundle"):
            self.add_error("bundle_file", "Paste the bundle or choose a file, not both.")
        elif upload and upload.size > MAX_BUNDLE_BYTES:
            self.add_error("bundle_file", "The file is too large for a bundle.")
        elif not upload and not cleaned.get("bundle") and "bundle" not in self.errors:
            self.add_error("bundle", "Paste the bundle or choose its file.")
        return cleaned

    def field_of(self, path: str) -> str | None:
        # Whatever is wrong within the bundle is said at the bundle: its members have no fields here.
        return path if path in self.fields else "bundle"

    def content(self) -> bytes:
        """The bundle's bytes; call when the form is valid."""
        upload = self.cleaned_data["bundle_file"]
        return bytes(upload.read()) if upload else self.cleaned_data["bundle"].encode()


class ImportForm(BundleForm):
    """A new connection."""

    organisation = forms.ModelChoiceField(queryset=Organisation.objects.all())
    name = forms.CharField(max_length=80, help_text="What the connection is called here.")
    source = forms.CharField(
        max_length=64,
        initial="busbar",
        help_text="Our code in every envelope's “source”, as agreed with Voke.",
    )
    scopes = forms.MultipleChoiceField(
        required=False,
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        label="Scopes of the key",
        help_text=(
            "As Voke's administrator told you; kept as unverified, because Voke does not tell us. "
            "With none ticked nothing is refused for a missing scope."
        ),
    )
    sign_emergency = forms.BooleanField(
        required=False,
        label="Sign emergencies too",
        help_text="Voke's documents do not ask for it; a signed emergency is accepted as well.",
    )
    field_order = (
        "organisation",
        "name",
        "source",
        "bundle",
        "bundle_file",
        "key_decoding",
        "scopes",
        "sign_emergency",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sign_emergency"].initial = settings.SIGN_EMERGENCY


class ModeForm(PageForm):
    """Nothing to fill in: the page says what the switch means."""

    mode = forms.ChoiceField(
        choices=[(mode.value, mode.value) for mode in ConnectionMode], widget=forms.HiddenInput
    )


class SwitchForm(PageForm):
    """Dispatch on or off."""

    enabled = forms.TypedChoiceField(
        choices=[("on", "on"), ("off", "off")], coerce=lambda text: text == "on", widget=forms.HiddenInput
    )


class AttachForm(PageForm):
    """Plants of the connection's organisation that shall be reached over it."""

    plants = forms.ModelMultipleChoiceField(
        queryset=Plant.objects.none(), help_text="Type a name or an external id."
    )

    def __init__(self, *args: Any, connection: Connection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["plants"]
        offered = Plant.objects.filter(organisation_id=connection.organisation_id).exclude(
            connection=connection
        )
        field.queryset = without_secrets(offered.select_related("connection"), "connection")
        field.widget = autocomplete(Asset._meta.get_field("plant"), multiple=True)
        field.widget.choices = field.choices
