"""The words that go with a decision about a config update."""

from django import forms

from plants.admin.pages import PageForm


class NoteForm(PageForm):
    """A remark for the record."""

    note = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the request.",
    )


class RefusalForm(PageForm):
    """Why not."""

    note = forms.CharField(
        max_length=500,
        label="Reason",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Kept with the request and told to Voke.",
    )
