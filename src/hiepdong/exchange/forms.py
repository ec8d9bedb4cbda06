"""The form of a notice."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from hiepdong.shell.templatetags.hiepdong import URGENCY_NAMES


class NoticeForm(forms.Form):
    """A notice: recipients, subject, urgency, text. Everything typed survives, valid or not."""

    to = forms.MultipleChoiceField(
        label=_("Recipients"), widget=forms.CheckboxSelectMultiple({"class": "form-check-input"}), required=True
    )
    copies = forms.MultipleChoiceField(
        label=_("Copies to"), widget=forms.CheckboxSelectMultiple({"class": "form-check-input"}), required=False
    )
    subject = forms.CharField(label=_("Subject"), max_length=300, widget=forms.TextInput({"class": "form-control"}))
    urgency = forms.ChoiceField(label=_("Urgency"), widget=forms.Select({"class": "form-select"}))
    event_at = forms.DateTimeField(
        label=_("When what it speaks of happened (if it is about an event)"),
        required=False,
        widget=forms.DateTimeInput({"class": "form-control", "type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M"],
    )
    text = forms.CharField(label=_("Text"), max_length=100_000, widget=forms.Textarea({"class": "form-control", "rows": "12"}))

    def __init__(self, *args: Any, recipients: list[tuple[str, str]], now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = now
        self.fields["to"].choices = recipients  # type: ignore[attr-defined]
        self.fields["copies"].choices = recipients  # type: ignore[attr-defined]
        names = [(key, _(name)) for key, name in URGENCY_NAMES.items()]
        self.fields["urgency"].choices = names  # type: ignore[attr-defined]

    def clean_event_at(self) -> datetime | None:
        """Refuse a moment that has not come yet, and one before there was anything to coordinate."""
        at: datetime | None = self.cleaned_data["event_at"]
        if at is not None and (at > self._now or at.year < 1945):
            raise forms.ValidationError(_("This moment lies in the future or too far in the past."))
        return at
