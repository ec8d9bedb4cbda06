"""Forms of the review's pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from .domain.report import CAUSES
from .wording import cause_name


class _Styled(forms.Form):
    """A form whose fields carry the classes of the CSS kit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.style()

    def style(self) -> None:
        """Give every field its class."""
        for field in self.fields.values():
            kind = getattr(field.widget, "input_type", "")
            name = {"select": "form-select", "checkbox": "form-check-input"}.get(kind, "form-control")
            field.widget.attrs.setdefault("class", name)


class BuildForm(_Styled):
    """Which regulation, which year."""

    regulation = forms.ChoiceField(label=_("Regulation"))
    year = forms.IntegerField(label=_("Year"), min_value=1945, max_value=2200)

    def __init__(self, *args: Any, choices: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["regulation"].choices = choices  # type: ignore[attr-defined]


class PassageForm(_Styled):
    """A person's text at a place of the review; `seen` is when the text before it was written."""

    text = forms.CharField(label=_("Text"), required=False, widget=forms.Textarea(attrs={"rows": 12}))
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class ItemForm(_Styled):
    """A task, a proposal, a directive or a stated limitation."""

    addressee = forms.CharField(label=_("Addressee"), required=False, max_length=200)
    text = forms.CharField(label=_("Text"), widget=forms.Textarea(attrs={"rows": 5}))
    source = forms.CharField(label=_("Source"), required=False, max_length=500)
    finding = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["addressee"].required = kind == "proposal"
        if kind in {"limitation"}:
            del self.fields["addressee"]


class ConferenceForm(_Styled):
    """Where and when the year is reviewed."""

    host = forms.CharField(label=_("Host"), required=False, max_length=200)
    held_on = forms.DateField(
        label=_("Held on"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )


class ApproveForm(_Styled):
    """The number the clerk gave the paper."""

    notation = forms.CharField(label=_("Number and notation"), required=False, max_length=60)


class CausesForm(_Styled):
    """The causes of a finding: one tick and one line for each of the short list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for code in CAUSES:
            self.fields[f"on:{code}"] = forms.BooleanField(label=cause_name(code), required=False)
            self.fields[f"text:{code}"] = forms.CharField(label=_("In words"), required=False, max_length=500)
        self.style()

    def rows(self) -> list[tuple[Any, Any]]:
        """Return the fields in pairs: tick and line."""
        return [(self[f"on:{c}"], self[f"text:{c}"]) for c in CAUSES]

    def causes(self) -> dict[str, str]:
        """Return code and text of those ticked, or given a line."""
        data = self.cleaned_data
        return {c: data[f"text:{c}"] for c in CAUSES if data[f"on:{c}"] or data[f"text:{c}"]}
