"""Forms of people and seats."""

from django import forms
from django.utils.translation import gettext_lazy as _


class SignInForm(forms.Form):
    """Name and password."""

    sign_in_name = forms.CharField(
        label=_("Sign-in name"), max_length=60, widget=forms.TextInput({"class": "form-control", "autocomplete": "username"})
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput({"class": "form-control", "autocomplete": "current-password"}),
    )


class TokenForm(forms.Form):
    """What the token is for, and until when."""

    name = forms.CharField(
        label=_("Which program uses it"),
        max_length=80,
        widget=forms.TextInput({"class": "form-control", "autocomplete": "off"}),
    )
    last_day = forms.DateField(
        label=_("Good until the end of the day"),
        widget=forms.DateInput({"class": "form-control", "type": "date"}, "%Y-%m-%d"),
    )


class PasswordForm(forms.Form):
    """The old password and the new one twice."""

    old = forms.CharField(
        label=_("Present password"),
        strip=False,
        widget=forms.PasswordInput({"class": "form-control", "autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput({"class": "form-control", "autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        widget=forms.PasswordInput({"class": "form-control", "autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, str]:
        """Refuse two different new passwords."""
        data = super().clean() or {}
        if data.get("new") != data.get("again"):
            self.add_error("again", _("The two new passwords differ."))
        return data


class SeatForm(forms.Form):
    """A seat for a person, known or new."""

    sign_in_name = forms.CharField(label=_("Sign-in name"), max_length=60, widget=forms.TextInput({"class": "form-control"}))
    display_name = forms.CharField(
        label=_("Name shown, best the position"), max_length=120, widget=forms.TextInput({"class": "form-control"})
    )
    password = forms.CharField(
        label=_("First password (only for a new person)"),
        required=False,
        strip=False,
        widget=forms.PasswordInput({"class": "form-control", "autocomplete": "new-password"}),
    )
    # a free field shown as a list: a key that is no choice is answered by the service, as for the command
    organisation = forms.CharField(label=_("Organisation"), widget=forms.Select({"class": "form-select"}))
    role = forms.ChoiceField(label=_("Role"), widget=forms.Select({"class": "form-select"}))
    title = forms.CharField(
        label=_("Position printed under documents"),
        max_length=120,
        required=False,
        widget=forms.TextInput({"class": "form-control"}),
    )
    since = forms.DateField(
        label=_("From the day"), widget=forms.DateInput({"class": "form-control", "type": "date"}, "%Y-%m-%d")
    )
