"""Signing in and out, passwords, seats."""

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from hiepdong.kernel.errors import DomainError, NotFound
from hiepdong.organisations import queries as organisations
from hiepdong.shell.addresses import address_of
from hiepdong.shell.pages import render_page
from hiepdong.shell.templatetags.hiepdong import role_name

from . import queries, services
from .access import requires, seat_required
from .domain.permissions import Action, Role
from .forms import PasswordForm, SeatForm, SignInForm, TokenForm


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return wanted if safe else "/"


@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; slow down guessing."""
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            person = services.sign_in(**form.cleaned_data, address=address_of(request), at=timezone.now())
        except (services.SignInRefused, services.SignInThrottled) as error:
            form.add_error(None, f"{_(error.message) % error.facts} {_(error.hint)}")
        else:
            login(request, person, backend="django.contrib.auth.backends.ModelBackend")
            return HttpResponseRedirect(_next(request))
    status = 422 if form.errors else 200
    context = {"form": form, "next": _next(request), "empty": not organisations.any_organisation()}
    return render_page(request, "accounts/sign_in.html", "", context, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    logout(request)
    return HttpResponseRedirect(reverse("accounts:sign_in"))


@seat_required
@require_POST
def seat_switch(request: HttpRequest) -> HttpResponse:
    """Work in another of one's own seats."""
    chosen = request.POST.get("seat", "")
    if not any(str(s.pk) == chosen for s in request.seats):  # type: ignore[attr-defined]
        raise NotFound
    request.session["seat_id"] = int(chosen)
    rotate_token(request)  # a page still open in another window was written in the other seat: it signs nothing in this one
    return HttpResponseRedirect("/")


@seat_required
@sensitive_post_parameters()
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password."""
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        seat = request.seat  # type: ignore[attr-defined]
        try:
            services.change_password(
                person=seat.person,
                old=form.cleaned_data["old"],
                new=form.cleaned_data["new"],
                actor=seat,
                at=timezone.now(),
            )
        except (services.SignInRefused, services.WeakPassword) as error:
            field = "old" if isinstance(error, services.SignInRefused) else "new"
            form.add_error(field, f"{_(error.message) % error.facts} {_(error.hint)}")
        else:
            messages.success(request, _("The password was changed; sign in again with it."))
            logout(request)
            return HttpResponseRedirect(reverse("accounts:sign_in"))
    return render_page(request, "accounts/password_form.html", "", {"form": form}, status=422 if form.errors else 200)


@seat_required
def token_list(request: HttpRequest) -> HttpResponse:
    """Show the tokens of one's own seat for programs, and make one; its secret is shown once."""
    seat = request.seat  # type: ignore[attr-defined]
    today = timezone.localdate()
    form = TokenForm(request.POST or None, initial={"last_day": today + timedelta(days=services.TOKEN_DAYS)})
    if request.method == "POST" and form.is_valid():
        try:
            secret = services.make_api_token(**form.cleaned_data, actor=seat, at=timezone.now())
        except (services.TokenUnnamed, services.TooManyTokens, services.TokenEndUnusable) as error:
            field = "last_day" if isinstance(error, services.TokenEndUnusable) else "name"
            form.add_error(field, f"{_(error.message) % error.facts} {_(error.hint)}")
        else:
            request.session["api_token"] = secret
            return HttpResponseRedirect(reverse("accounts:token_list"))
    context = {
        "form": form,
        "tokens": [(token, token.standing(today)) for token in queries.api_tokens_of(seat)],
        "secret": request.session.pop("api_token", ""),
    }
    return render_page(request, "accounts/token_list.html", "rows", context, status=422 if form.errors else 200)


@seat_required
@require_POST
def token_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a token of one's own seat."""
    services.end_api_token(token_id=pk, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("The token was ended; the program that used it gets in no more."))
    return HttpResponseRedirect(reverse("accounts:token_list"))


@requires(Action.MANAGE_SEATS)
@require_GET
def seat_list(request: HttpRequest) -> HttpResponse:
    """Show the seats this seat administers."""
    seat = request.seat  # type: ignore[attr-defined]
    context = {"seats_shown": queries.seats_under(seat), "today": timezone.localdate()}
    return render_page(request, "accounts/seat_list.html", "rows", context)


@requires(Action.MANAGE_SEATS)
@sensitive_post_parameters("password")
def seat_new(request: HttpRequest) -> HttpResponse:
    """Give a person, known or new, a seat."""
    seat = request.seat  # type: ignore[attr-defined]
    begin = {"organisation": seat.organisation.key, "since": timezone.localdate()}
    form = SeatForm(request.POST or None, initial=begin)
    roles = [r for r in Role if r != Role.NODE_ADMINISTRATOR or seat.may(Action.MANAGE_NODE)]
    bodies = organisations.members(on=timezone.localdate())
    if not seat.may(Action.MANAGE_NODE):
        bodies = [o for o in bodies if o.pk == seat.organisation_id]
    form.fields["organisation"].widget.choices = [(o.key, o.name) for o in sorted(bodies, key=lambda o: o.name_sort)]
    form.fields["role"].choices = [(r.value, role_name(r.value)) for r in roles]  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            services.seat_person(
                sign_in_name=data["sign_in_name"],
                display_name=data["display_name"],
                password=data["password"],
                organisation_key=data["organisation"],
                role=data["role"],
                title=data["title"],
                since=data["since"],
                actor=seat,
                at=timezone.now(),
            )
        except NotFound:
            form.add_error("organisation", _("There is no organisation with this key."))
        except DomainError as error:
            form.add_error(None, f"{_(error.message) % error.facts} {_(error.hint)}")
        else:
            messages.success(request, _("The seat was granted."))
            return HttpResponseRedirect(reverse("accounts:seat_list"))
    return render_page(request, "accounts/seat_form.html", "", {"form": form}, status=422 if form.errors else 200)


@requires(Action.MANAGE_SEATS)
@require_POST
def seat_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End a seat today."""
    services.end_seat(seat_id=pk, actor=request.seat, at=timezone.now())  # type: ignore[attr-defined]
    messages.success(request, _("The seat was ended; it stays in the journal."))
    return HttpResponseRedirect(reverse("accounts:seat_list"))
